# What makes a step run again makes these jobs run: they ask all their steps, and those that are up to date do nothing.
CASE_STEPS = {
    "ingest": ["ingest_ncct", "ingest_mri", "ingest_lesion", "ingest_brain"],
    "preprocess": [
        *("resample_ncct", "brain_mask", "prepare_mri", "register_mri", "apply_registration"),
        *("contralateral", "finalise", "lesion", "describe_case"),
    ],
}
BATCH_STEPS = {"segment": ["segment", "ensemble"]}


def names_of(steps):
    return [step for names in steps.values() for step in names]


def environments(*names):
    """What waits for the steps' environments (the rules at the end)."""
    return [f"<state>/environments/{name}" for name in names]


def codes(steps):
    """Digests of the steps' code."""
    return lambda wildcards: [code_digest(f"{stage}.{step}") for stage, names in steps.items() for step in names]


def changes(changed, record):
    """Files that show that a job must run again. A real run removes the record, so that they are no param of the job.

    As a param, they would be gone in the next call, and the job would run once more.
    """
    names, path = of_study(changed), of_study(record)

    def of_wildcards(wildcards):
        found = names(wildcards)
        if found and workflow.is_main_process and not (workflow.dryrun or workflow.touch):
            Path(path(wildcards)).unlink(missing_ok=True)
            return []
        return found

    return of_wildcards


rule preprocess_case:
    """Take a case through all its steps in one job; each step is a rule of its own too."""
    input:
        scans=ancient(of_study(case_jobs.scans)),
        masks=of_study(case_jobs.given_masks),
        shared=case_jobs.shared(STUDY),
        environments=ancient(environments("imaging", "skullstrip")),
    output:
        "<preprocessed>/files.json",
    params:
        settings=of_study(case_jobs.settings_digest),
        changed=changes(case_jobs.changed, case_jobs.record),
        code=codes(CASE_STEPS),
        rules=names_of(CASE_STEPS),
    log:
        "<logs>/preprocess/preprocess_case/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/preprocess_case/{cohort}/{case}.tsv"
    threads: threads("case")
    resources:
        **request("case"),
    # In the environment of Snakemake, which gives each step its own.
    shell:
        "python -m workflow_scripts.study.whole_jobs.run --cohort={wildcards.cohort} --case={wildcards.case}"
        " --rules {params.rules} --threads {threads} --mem-mb {resources.mem_mb} --out {output:q} > {log:q} 2>&1"


rule segment_batch:
    """Segment a batch of cases with all models of an arm in one job; each mask is a target of its own too."""
    input:
        checkpoints=of_study(batch_jobs.checkpoints),
        images=of_study(batch_jobs.images),
        environments=ancient(environments("deeplearning")),
    output:
        "<segmented>/batches/{cohort}/{batch}.json",
    params:
        settings=of_study(batch_jobs.settings_digest),
        changed=changes(batch_jobs.changed, batch_jobs.record),
        code=codes(BATCH_STEPS),
        rules=names_of(BATCH_STEPS),
    log:
        "<logs>/segment/segment_batch/{arm}/{cohort}/{batch}.log",
    benchmark:
        "<benchmarks>/segment/segment_batch/{arm}/{cohort}/{batch}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    shell:
        "python -m workflow_scripts.study.whole_jobs.run --arm={wildcards.arm} --cohort={wildcards.cohort}"
        " --batch={wildcards.batch} --rules {params.rules} --threads {threads} --mem-mb {resources.mem_mb}"
        " --gpus $GPUS_SEGMENT --out {output:q} > {log:q} 2>&1"


# These jobs' own Snakemakes would make an environment at once; so that of the study does, before any job.
for name in ("imaging", "skullstrip", "deeplearning"):

    rule:
        name:
            f"environment_{name}"
        output:
            touch(f"<state>/environments/{name}"),
        localrule: True
        conda:
            f"../envs/{name}.yaml"
        shell:
            ":"
