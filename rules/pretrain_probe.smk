rule pretrain_probe:
    input:
        unpack(pretrain_probe_inputs),
    output:
        skills=f"{OUT}/pretrain/{{pretraining}}/probe.tsv",
        neighbours=f"{OUT}/pretrain/{{pretraining}}/neighbours.tsv",
    params:
        dataset=_pretraining_images,
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        splits=config["probe"]["splits"],
        attributes=config["probe"]["attributes"],
        table=options({"table": config["probe"]["table"]}),
        random=config["probe"]["random_encoders"],
        bootstrap=config["evaluate"]["bootstrap"],
        confidence=config["evaluate"]["confidence"],
        seed=config["seed"],
        code=code("pretrain.pretrain_probe"),
    log:
        f"{OUT}/logs/pretrain/pretrain_probe/{{pretraining}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_probe/{{pretraining}}.tsv"
    threads: config["resources"]["segment"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["segment"]["mem_mb"]),
        runtime=grows(config["resources"]["segment"]["runtime"]),
        gpu=config["resources"]["segment"]["gpu"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_probe --encoder {input.encoder:q} --dataset {params.dataset:q}"
        " --splits-table {input.splits:q} --splits {params.splits} --preprocess {params.preprocess:q}"
        " --attributes {params.attributes} {params.table:q} --random-encoders {params.random}"
        " --bootstrap {params.bootstrap} --confidence {params.confidence} --seed {params.seed} --threads {threads}"
        " --out-skills {output.skills:q} --out-neighbours {output.neighbours:q} > {log:q} 2>&1"


rule pretrain_interpret:
    input:
        encoder=f"{OUT}/pretrain/{{pretraining}}/encoder.pt",
        cases=lambda wildcards: f"{_pretraining_images(wildcards)}/cases.tsv",
        arrays=lambda wildcards: f"{_pretraining_images(wildcards)}/arrays",
    output:
        embedding=f"{OUT}/pretrain/{{pretraining}}/interpretation/embedding.tsv",
        neighbours=f"{OUT}/pretrain/{{pretraining}}/interpretation/neighbours.tsv",
        slices=f"{OUT}/pretrain/{{pretraining}}/interpretation/slices.npz",
    params:
        dataset=_pretraining_images,
        perplexity=config["report"]["tsne_perplexity"],
        steps=config["report"]["gradient_steps"],
        seed=config["seed"],
        code=code("pretrain.pretrain_interpret"),
    log:
        f"{OUT}/logs/pretrain/pretrain_interpret/{{pretraining}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_interpret/{{pretraining}}.tsv"
    threads: config["resources"]["segment"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["segment"]["mem_mb"]),
        runtime=grows(config["resources"]["segment"]["runtime"]),
        gpu=config["resources"]["segment"]["gpu"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_interpret --encoder {input.encoder:q} --dataset {params.dataset:q}"
        " --perplexity {params.perplexity} --steps {params.steps} --seed {params.seed} --threads {threads}"
        " --out-embedding {output.embedding:q} --out-neighbours {output.neighbours:q} --out-slices {output.slices:q}"
        " > {log:q} 2>&1"
