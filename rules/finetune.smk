from workflow_scripts.common.options import options


def _arm(wildcards):
    arms = config["arms"]
    if wildcards.arm not in arms:
        raise WorkflowError(f"{wildcards.arm!r} is no entry of arms; there are {', '.join(arms)}.")
    return arms[wildcards.arm]


def _arm_settings(wildcards):
    arm = _arm(wildcards)
    return options({key.replace("_", "-"): value for key, value in {**arm, **config["finetune"]}.items()})


def _arm_base(wildcards):
    """Folder of the pretraining dataset that lends the arm plans and statistics, or None."""
    arm = _arm(wildcards)
    base = arm["pretraining"] or arm["statistics_from"]
    return f"{OUT}/pretrain/datasets/{STUDY.images(base)}" if base else None


def _finetune_dataset_inputs(wildcards):
    arm = _arm(wildcards)
    base = _arm_base(wildcards)
    images = [
        path
        for image in (*arm["channels"], "lesion")
        for path in per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/{image}.nii.gz", STUDY.labelled(arm["train"]))
    ]
    lent = {"fingerprint": f"{base}/fingerprint.json", "plans": f"{base}/plans.json"} if base else {}
    return {"splits": f"{OUT}/split/splits.tsv", "images": images, **lent}


def _encoder(wildcards):
    pretraining = _arm(wildcards)["pretraining"]
    return {"encoder": f"{OUT}/pretrain/{pretraining}/encoder.pt"} if pretraining else {}


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
        out=f"{OUT}/finetune/{{arm}}/nnunet",
    log:
        f"{OUT}/logs/finetune/finetune_dataset/{{arm}}.log",
    benchmark:
        f"{OUT}/benchmarks/finetune/finetune_dataset/{{arm}}.tsv"
    threads: config["resources"]["dataset"]["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * config["resources"]["dataset"]["mem_mb"],
        runtime=config["resources"]["dataset"]["runtime"],
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
        dataset=f"{OUT}/finetune/{{arm}}/nnunet",
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
        mem_mb=lambda wildcards, attempt: attempt * config["resources"]["finetune"]["mem_mb"],
        runtime=config["resources"]["finetune"]["runtime"],
        gpu=config["resources"]["finetune"]["gpu"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.finetune.finetune --settings {input.settings:q} --dataset {params.dataset:q}"
        " {params.encoder:q} --seed {params.seed} --state {params.state:q} --threads {threads}"
        " --checkpoint {output.checkpoint:q} --curves {output.curves:q} > {log:q} 2>&1"
