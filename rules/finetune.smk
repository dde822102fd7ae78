rule finetune_settings:
    output:
        f"{OUT}/finetune/{{arm}}/settings.yaml",
    params:
        settings=_arm_settings,
    log:
        f"{OUT}/logs/finetune/finetune_settings/{{arm}}.log",
    benchmark:
        f"{OUT}/benchmarks/finetune/finetune_settings/{{arm}}.tsv"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    localrule: True
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.finetune.finetune_settings --arm {wildcards.arm} {params.settings}"
        " --out {output:q} > {log:q} 2>&1"


rule finetune_dataset:
    input:
        unpack(_finetune_dataset_inputs),
    output:
        fingerprint=f"{OUT}/finetune/{{arm}}/nnunet/fingerprint.json",
        plans=f"{OUT}/finetune/{{arm}}/nnunet/plans.json",
        dataset=f"{OUT}/finetune/{{arm}}/nnunet/dataset.json",
        cases=f"{OUT}/finetune/{{arm}}/nnunet/cases.tsv",
        arrays=directory(f"{OUT}/finetune/{{arm}}/nnunet/arrays"),
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        preprocess=f"{OUT}/preprocess",
        cases=lambda wildcards: [f"{c.cohort}/{c.case}" for c in STUDY.labelled(_arm(wildcards)["train"])],
        channels=lambda wildcards: _arm(wildcards)["channels"],
        options=DATASET_OPTIONS,
        base=lambda wildcards, input: options(
            {"base-fingerprint": input.get("fingerprint"), "base-plans": input.get("plans")}
        ),
        out=subpath(output.plans, parent=True),
        code=code("finetune.finetune_dataset"),
    log:
        f"{OUT}/logs/finetune/finetune_dataset/{{arm}}.log",
    benchmark:
        f"{OUT}/benchmarks/finetune/finetune_dataset/{{arm}}.tsv"
    threads: config["resources"]["dataset"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["dataset"]["mem_mb"]),
        runtime=grows(config["resources"]["dataset"]["runtime"]),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.finetune.finetune_dataset --splits-table {input.splits:q}"
        " --preprocess {params.preprocess:q} --cases {params.cases} --channels {params.channels} {params.options}"
        " {params.base:q} --threads {threads} --out {params.out:q} > {log:q} 2>&1"


rule finetune:
    input:
        unpack(_encoder),
        settings=f"{OUT}/finetune/{{arm}}/settings.yaml",
        plans=f"{OUT}/finetune/{{arm}}/nnunet/plans.json",
        cases=f"{OUT}/finetune/{{arm}}/nnunet/cases.tsv",
        arrays=f"{OUT}/finetune/{{arm}}/nnunet/arrays",
    output:
        checkpoint=f"{OUT}/finetune/{{arm}}/seed-{{seed}}/checkpoint.pth",
        curves=f"{OUT}/finetune/{{arm}}/seed-{{seed}}/curves.tsv",
    params:
        dataset=subpath(input.plans, parent=True),
        seed=lambda wildcards: config["seed"] + int(wildcards.seed),
        encoder=lambda wildcards, input: options({"encoder": input.get("encoder")}),
        # No rule declares the state: Snakemake removes the outputs of a job that failed, and this must outlive it.
        state=f"{OUT}/state/finetune/{{arm}}/seed-{{seed}}",
    log:
        f"{OUT}/logs/finetune/finetune/{{arm}}/seed-{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/finetune/finetune/{{arm}}/seed-{{seed}}.tsv"
    threads: config["resources"]["finetune"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["finetune"]["mem_mb"]),
        runtime=config["resources"]["finetune"]["runtime"],
        gpu=config["resources"]["finetune"]["gpu"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "exec python -m workflow_scripts.finetune.finetune --settings {input.settings:q} --dataset {params.dataset:q}"
        " {params.encoder:q} --seed {params.seed} --state {params.state:q} --retrain $RETRAIN --threads {threads}"
        " --checkpoint {output.checkpoint:q} --curves {output.curves:q} > {log:q} 2>&1"
