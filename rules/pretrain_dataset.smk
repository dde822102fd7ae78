include: "nnunet.smk"


rule pretrain_dataset:
    input:
        splits=f"{OUT}/split/splits.tsv",
        images=_image_set_images,
    output:
        fingerprint=f"{OUT}/pretrain/datasets/{{images}}/fingerprint.json",
        plans=f"{OUT}/pretrain/datasets/{{images}}/plans.json",
        dataset=f"{OUT}/pretrain/datasets/{{images}}/dataset.json",
        cases=f"{OUT}/pretrain/datasets/{{images}}/cases.tsv",
        arrays=directory(f"{OUT}/pretrain/datasets/{{images}}/arrays"),
        companions=directory(f"{OUT}/pretrain/datasets/{{images}}/companions"),
    params:
        # A folder, not the files: the paths of a large cohort are longer than a command line may be.
        preprocess=f"{OUT}/preprocess",
        cohorts=lambda wildcards: config["image_sets"][_image_set(wildcards)],
        channels=_image_set_channels,
        seen=config["pretrain"]["splits"],
        options=DATASET_OPTIONS,
        out=subpath(output.plans, parent=True),
        code=code("pretrain.pretrain_dataset"),
    log:
        f"{OUT}/logs/pretrain/pretrain_dataset/{{images}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_dataset/{{images}}.tsv"
    threads: config["resources"]["dataset"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["dataset"]["mem_mb"]),
        runtime=grows(config["resources"]["dataset"]["runtime"]),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_dataset --splits-table {input.splits:q}"
        " --preprocess {params.preprocess:q} --cohorts {params.cohorts} --splits {params.seen}"
        " --channels {params.channels} {params.options} --threads {threads} --out {params.out:q} > {log:q} 2>&1"
