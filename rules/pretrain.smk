rule pretrain_dataset:
    """Write the arrays that pretrainings on an image set read."""
    input:
        splits="<split>/splits.tsv",
        images=of_study(inputs.pretrain.images_of_set),
    output:
        fingerprint="<image_set>/fingerprint.json",
        plans="<image_set>/plans.json",
        dataset="<image_set>/dataset.json",
        cases="<image_set>/cases.tsv",
        arrays=directory("<image_set>/arrays"),
        companions=directory("<image_set>/companions"),
    params:
        # A folder, not the files: the paths of a large cohort are longer than a command line may be.
        preprocess=stage_folder("preprocessed"),
        cohorts=lambda wildcards: config["image_sets"][STUDY.image_set(wildcards.images)],
        channels=lambda wildcards: STUDY.image_set_channels(wildcards.images),
        seen_splits=config["pretrain"]["splits"],
        options=arguments.dataset(STUDY),
        out=subpath(output.plans, parent=True),
        code=code("pretrain.pretrain_dataset"),
    log:
        "<logs>/pretrain/pretrain_dataset/{images}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain_dataset/{images}.tsv"
    threads: threads("dataset")
    resources:
        **request("dataset"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_dataset --splits {input.splits:q}"
        " --preprocess {params.preprocess:q} --cohorts {params.cohorts} --seen-splits {params.seen_splits}"
        " --channels {params.channels} {params.options} --threads {threads} --out {params.out:q} > {log:q} 2>&1"


rule pretrain_settings:
    """Write the settings of a pretraining into a file."""
    output:
        "<pretraining>/settings.yaml",
    params:
        settings=of_study(arguments.pretrain_settings),
    log:
        "<logs>/pretrain/pretrain_settings/{pretraining}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain_settings/{pretraining}.tsv"
    resources:
        **request("small"),
    localrule: True
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.common.write_settings --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"


rule pretrain:
    """Pretrain an encoder on images without labels."""
    input:
        unpack(given(of_study(inputs.pretrain.pretrain))),
    output:
        encoder="<pretraining>/encoder.pt",
        card="<pretraining>/model_card.md",
        curves="<pretraining>/curves.tsv",
        rankme="<pretraining>/rankme.tsv",
    params:
        dataset=subpath(input.plans, parent=True),
        # No rule declares the state: Snakemake removes the outputs of a job that failed, and this must outlive it.
        state=lambda wildcards: paths.file(STUDY.results, "state", f"pretrain/{wildcards.pretraining}"),
        initial=of_study(arguments.initial_weights),
        launch=of_study(arguments.pretrain_launch),
    log:
        "<logs>/pretrain/pretrain/{pretraining}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain/{pretraining}.tsv"
    threads: threads("pretrain")
    resources:
        **request("pretrain", longer=False),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        # A method of the user's may lie where no other job looks.
        'export PYTHONPATH="$PYTHONPATH${{USERS_PYTHONPATH:+:$USERS_PYTHONPATH}}"; '
        "exec {params.launch} --settings {input.settings:q} --dataset {params.dataset:q}"
        " --state {params.state:q} {params.initial:q} $RETRAIN --threads {threads} --gpus $GPUS_PRETRAIN"
        " --out-encoder {output.encoder:q}"
        " --out-card {output.card:q} --out-curves {output.curves:q} --out-rankme {output.rankme:q} > {log:q} 2>&1"


rule pretrain_audit:
    """Check which cases an encoder has seen, against the split."""
    input:
        unpack(of_study(inputs.pretrain.audit)),
    output:
        "<pretraining>/audit.json",
    params:
        code=code("pretrain.pretrain_audit"),
    log:
        "<logs>/pretrain/pretrain_audit/{pretraining}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain_audit/{pretraining}.tsv"
    resources:
        **request("page"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_audit --encoder {input.encoder:q}"
        " --fingerprint {input.fingerprint:q} --splits {input.splits:q} --out {output:q} > {log:q} 2>&1"


rule pretrain_probe:
    """Predict attributes of heads from what an encoder computes."""
    input:
        unpack(given(of_study(inputs.pretrain.probe))),
    output:
        skills="<pretraining>/probe.tsv",
        neighbours="<pretraining>/neighbours.tsv",
    params:
        dataset=subpath(input.cases, parent=True),
        preprocess=stage_folder("preprocessed"),
        probed_splits=config["probe"]["splits"],
        attributes=config["probe"]["attributes"],
        table=options({"table": config["probe"]["table"]}),
        supervised=of_study(arguments.supervised_encoder),
        random_encoders=config["probe"]["random_encoders"],
        bootstrap=config["evaluate"]["bootstrap"],
        confidence=config["evaluate"]["confidence"],
        seed=config["seed"],
        code=code("pretrain.pretrain_probe"),
    log:
        "<logs>/pretrain/pretrain_probe/{pretraining}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain_probe/{pretraining}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_probe --encoder {input.encoder:q} --dataset {params.dataset:q}"
        " --splits {input.splits:q} --probed-splits {params.probed_splits} --preprocess {params.preprocess:q}"
        " --attributes {params.attributes} {params.table:q} {params.supervised:q} --random-encoders {params.random_encoders}"
        " --bootstrap {params.bootstrap} --confidence {params.confidence} --seed {params.seed} --threads {threads}"
        " --gpus $GPUS_SEGMENT"
        " --out-skills {output.skills:q} --out-neighbours {output.neighbours:q} > {log:q} 2>&1"


rule pretrain_interpret:
    """Map the features of an encoder, and what they look at."""
    input:
        unpack(of_study(inputs.pretrain.interpretation)),
    output:
        embedding="<pretraining>/interpretation/embedding.tsv",
        neighbours="<pretraining>/interpretation/neighbours.tsv",
        slices="<pretraining>/interpretation/slices.npz",
    params:
        dataset=subpath(input.cases, parent=True),
        perplexity=config["report"]["tsne_perplexity"],
        steps=config["report"]["gradient_steps"],
        seed=config["seed"],
        code=code("pretrain.pretrain_interpret"),
    log:
        "<logs>/pretrain/pretrain_interpret/{pretraining}.log",
    benchmark:
        "<benchmarks>/pretrain/pretrain_interpret/{pretraining}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_interpret --encoder {input.encoder:q} --dataset {params.dataset:q}"
        " --perplexity {params.perplexity} --steps {params.steps} --seed {params.seed} --threads {threads}"
        " --gpus $GPUS_SEGMENT"
        " --out-embedding {output.embedding:q} --out-neighbours {output.neighbours:q} --out-slices {output.slices:q}"
        " > {log:q} 2>&1"
