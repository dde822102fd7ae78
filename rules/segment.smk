from pathlib import Path

from workflow_scripts.study.options import options

_SEGMENTED = f"{OUT}/segment/{{arm}}"
_VOTE = config["segment"]["vote"]
# What an ensemble joins: masks, or for the mean probability the probabilities that are then written too.
_MEMBER_SUFFIXES = [".nii.gz"] if _VOTE == "majority" else [".nii.gz", ".probability.nii.gz"]


for cohort in config["run"]["segment"]:

    rule:
        name:
            f"segment_{cohort}"
        input:
            unpack(_segment_inputs(cohort)),
        output:
            [path for suffix in _MEMBER_SUFFIXES for path in _segmentations("seed-{seed}", cohort, suffix)],
        params:
            cohort=cohort,
            # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
            cases=[case.case for case in STUDY.in_cohorts([cohort])],
            preprocess=f"{OUT}/preprocess",
            step=config["segment"]["step"],
            options=options({"mirror": config["segment"]["mirror"], "probabilities": _VOTE == "mean_probability"}),
            out=f"{_SEGMENTED}/seed-{{seed}}/{cohort}",
            code=code("segment.segment"),
        log:
            f"{OUT}/logs/segment/segment/{{arm}}/seed-{{seed}}/{cohort}.log",
        benchmark:
            f"{OUT}/benchmarks/segment/segment/{{arm}}/seed-{{seed}}/{cohort}.tsv"
        threads: config["resources"]["segment"]["threads"]
        resources:
            mem_mb=grows(config["resources"]["segment"]["mem_mb"]),
            runtime=grows(config["resources"]["segment"]["runtime"]),
            gpu=config["resources"]["segment"]["gpu"],
        conda:
            "../envs/deeplearning.yaml"
        shell:
            "python -m workflow_scripts.segment.segment --checkpoint {input.checkpoint:q}"
            " --preprocess {params.preprocess:q} --cohort {params.cohort} --cases {params.cases}"
            " --step {params.step} {params.options} --threads {threads}"
            " --out {params.out:q} > {log:q} 2>&1"

    rule:
        name:
            f"ensemble_{cohort}"
        input:
            [path for seed in STUDY.seeds for path in _segmentations(f"seed-{seed}", cohort, _MEMBER_SUFFIXES[-1])],
        output:
            _segmentations("ensemble", cohort, ".nii.gz"),
        params:
            cohort=cohort,
            cases=[case.case for case in STUDY.in_cohorts([cohort])],
            members=[f"{_SEGMENTED}/seed-{seed}/{cohort}" for seed in STUDY.seeds],
            vote=_VOTE,
            out=f"{_SEGMENTED}/ensemble/{cohort}",
            code=code("segment.ensemble"),
        log:
            f"{OUT}/logs/segment/ensemble/{{arm}}/{cohort}.log",
        benchmark:
            f"{OUT}/benchmarks/segment/ensemble/{{arm}}/{cohort}.tsv"
        threads: 1
        resources:
            mem_mb=grows(2000),
            runtime=grows(60),
        conda:
            "../envs/deeplearning.yaml"
        shell:
            "python -m workflow_scripts.segment.ensemble --members {params.members:q} --vote {params.vote}"
            " --cohort {params.cohort} --cases {params.cases} --out {params.out:q} > {log:q} 2>&1"

    rule:
        name:
            f"original_{cohort}"
        input:
            masks=_segmentations("ensemble", cohort, ".nii.gz"),
            conversions=per_case(f"{OUT}/ingest/{{cohort}}/{{case}}/ncct.json", STUDY.in_cohorts([cohort])),
        output:
            _segmentations("original", cohort, ".nii.gz"),
        params:
            cohort=cohort,
            cases=[case.case for case in STUDY.in_cohorts([cohort])],
            masks=lambda wildcards, input: Path(input.masks[0]).parent,
            ingest=lambda wildcards, input: Path(input.conversions[0]).parents[2],
            out=f"{_SEGMENTED}/original/{cohort}",
            code=code("segment.original"),
        log:
            f"{OUT}/logs/segment/original/{{arm}}/{cohort}.log",
        benchmark:
            f"{OUT}/benchmarks/segment/original/{{arm}}/{cohort}.tsv"
        threads: 1
        resources:
            mem_mb=grows(2000),
            runtime=grows(60),
        conda:
            "../envs/deeplearning.yaml"
        shell:
            "python -m workflow_scripts.segment.original --cohort {params.cohort} --cases {params.cases}"
            " --masks {params.masks:q} --ingest {params.ingest:q} --out {params.out:q} > {log:q} 2>&1"
