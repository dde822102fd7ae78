# What makes a step run again makes these jobs run: they ask all their steps, and those that are up to date do nothing.


rule preprocess_case:
    """Take a case through all its steps in one job; each step is a rule of its own too."""
    input:
        scans=ancient(of_study(case_jobs.scans)),
        masks=of_study(case_jobs.given_masks),
        shared=of_study(case_jobs.shared),
        environments=["<state>/environments/imaging", "<state>/environments/skullstrip"],
        again=again(case_jobs),
    output:
        "<preprocessed>/files.json",
    params:
        settings=of_study(case_jobs.settings_digest),
        code=lambda wildcards: steps.codes(steps.CASE_STEPS),
        rules=steps.names(steps.CASE_STEPS),
        call=of_call,
    log:
        "<logs>/preprocess/preprocess_case/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/preprocess_case/{cohort}/{case}.tsv"
    threads: threads("case")
    resources:
        **request("case"),
    conda:
        no_environment
    shell:
        "python -m workflow_scripts.study.whole_jobs.run --cohort={wildcards.cohort} --case={wildcards.case}"
        " --rules {params.rules} --threads {threads} --mem-mb {resources.mem_mb} --out {output:q} --call={params.call:q}"
        " > {log:q} 2>&1"


rule segment_batch:
    """Segment a batch of cases with all models of an arm in one job; each mask is a target of its own too."""
    input:
        checkpoints=of_study(batch_jobs.checkpoints),
        images=of_study(batch_jobs.images),
        environments=["<state>/environments/deeplearning"],
        again=again(batch_jobs),
    output:
        "<segmented>/batches/{cohort}/{batch}.json",
    params:
        settings=of_study(batch_jobs.settings_digest),
        code=lambda wildcards: steps.codes(steps.BATCH_STEPS),
        rules=steps.names(steps.BATCH_STEPS),
        call=of_call,
    log:
        "<logs>/segment/segment_batch/{arm}/{cohort}/{batch}.log",
    benchmark:
        "<benchmarks>/segment/segment_batch/{arm}/{cohort}/{batch}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    conda:
        no_environment
    shell:
        "python -m workflow_scripts.study.whole_jobs.run --arm={wildcards.arm} --cohort={wildcards.cohort}"
        " --batch={wildcards.batch} --rules {params.rules} --threads {threads} --mem-mb {resources.mem_mb}"
        " --gpus $GPUS_SEGMENT --out {output:q} --call={params.call:q}"
        " > {log:q} 2>&1"


# These jobs' own Snakemakes would make an environment at once; so that of the study does, before any job.
for name in ("imaging", "skullstrip", "deeplearning"):

    rule:
        """Make an environment, before the steps of many jobs need it at once."""
        name:
            f"environment_{name}"
        output:
            touch(f"<state>/environments/{name}"),
        log:
            f"<logs>/environments/{name}.log",
        localrule: True
        conda:
            f"../envs/{name}.yaml"
        shell:
            "python --version > {log:q}"
