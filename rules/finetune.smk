rule finetune_settings:
    """Write the settings of an arm into a file."""
    output:
        "<arm>/settings.yaml",
    params:
        settings=of_study(arguments.finetune_settings),
    log:
        "<logs>/finetune/finetune_settings/{arm}.log",
    benchmark:
        "<benchmarks>/finetune/finetune_settings/{arm}.tsv"
    resources:
        **request("small"),
    localrule: True
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.common.write_settings --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"


rule finetune_dataset:
    """Write the arrays that the trainings of an arm read."""
    input:
        unpack(of_study(inputs.finetune.dataset)),
    output:
        fingerprint="<arm>/nnunet/fingerprint.json",
        plans="<arm>/nnunet/plans.json",
        dataset="<arm>/nnunet/dataset.json",
        cases="<arm>/nnunet/cases.tsv",
        arrays=directory("<arm>/nnunet/arrays"),
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        preprocess=stage_folder("preprocessed"),
        cases=of_study(arguments.labelled_cases),
        channels=lambda wildcards: STUDY.arm(wildcards.arm)["channels"],
        options=arguments.dataset(STUDY),
        base=lambda wildcards, input: options(
            {"base-fingerprint": input.get("base_fingerprint"), "base-plans": input.get("base_plans")}
        ),
        out=subpath(output.plans, parent=True),
        code=code("finetune.finetune_dataset"),
    log:
        "<logs>/finetune/finetune_dataset/{arm}.log",
    benchmark:
        "<benchmarks>/finetune/finetune_dataset/{arm}.tsv"
    threads: threads("dataset")
    resources:
        **request("dataset"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.finetune.finetune_dataset --splits {input.splits:q}"
        " --preprocess {params.preprocess:q} --cases {params.cases} --channels {params.channels} {params.options}"
        " {params.base:q} --threads {threads} --out {params.out:q} > {log:q} 2>&1"


rule finetune_subset:
    """Draw the patients of one training on fewer labels."""
    input:
        unpack(of_study(inputs.finetune.subset)),
    output:
        "<training>/cases.tsv",
    params:
        labels=lambda wildcards: STUDY.budgets[wildcards.arm].labels,
        seed=config["seed"],
        code=code("finetune.finetune_subset"),
    log:
        "<logs>/finetune/finetune_subset/{arm}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/finetune/finetune_subset/{arm}/seed-{seed}.tsv"
    resources:
        **request("small"),
    localrule: True
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.finetune.finetune_subset --cases {input.cases:q} --splits {input.splits:q}"
        " --labels {params.labels} --seed {params.seed} --draw {wildcards.seed} --out {output:q} > {log:q} 2>&1"


rule finetune:
    """Train a model of an arm, from scratch or from an encoder."""
    input:
        unpack(of_study(inputs.finetune.training)),
        settings="<arm>/settings.yaml",
    output:
        checkpoint="<training>/checkpoint.pth",
        curves="<training>/curves.tsv",
    params:
        dataset=subpath(input.plans, parent=True),
        seed=config["seed"],
        encoder=lambda wildcards, input: options({"encoder": input.get("encoder")}),
        # No rule declares the state: Snakemake removes the outputs of a job that failed, and this must outlive it.
        state=lambda wildcards: paths.file(STUDY.results, "state", f"finetune/{wildcards.arm}/seed-{wildcards.seed}"),
    log:
        "<logs>/finetune/finetune/{arm}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/finetune/finetune/{arm}/seed-{seed}.tsv"
    threads: threads("finetune")
    resources:
        **request("finetune", longer=False),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "exec python -m workflow_scripts.finetune.finetune --settings {input.settings:q} --dataset {params.dataset:q}"
        " --cases {input.cases:q} {params.encoder:q} --seed {params.seed} --number {wildcards.seed} --state {params.state:q} $RETRAIN --threads {threads}"
        " --gpus $GPUS_FINETUNE"
        " --out-checkpoint {output.checkpoint:q} --out-curves {output.curves:q} > {log:q} 2>&1"
