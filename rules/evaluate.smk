from workflow_scripts.common.vocabulary import members_of

EVALUATED = STUDY.labelled(config["run"]["evaluate"])
MEMBERS = members_of(STUDY.seeds)


rule score:
    input:
        splits=f"{OUT}/split/splits.tsv",
        references=per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/lesion.nii.gz", EVALUATED),
        segmentations=[
            path
            for member in MEMBERS
            for path in per_case(f"{OUT}/segment/{{arm}}/{member}/{{cohort}}/{{case}}.nii.gz", EVALUATED)
        ],
    output:
        f"{OUT}/evaluate/{{arm}}/scores.tsv",
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        references=lambda wildcards: f"{OUT}/preprocess",
        segmentations=lambda wildcards: f"{OUT}/segment/{wildcards.arm}",
        cases=[f"{case.cohort}/{case.case}" for case in EVALUATED],
        members=MEMBERS,
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("evaluate.score"),
    log:
        f"{OUT}/logs/evaluate/score/{{arm}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/score/{{arm}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.score --arm {wildcards.arm} --members {params.members}"
        " --cases {params.cases} --segmentations {params.segmentations:q} --references {params.references:q}"
        " --splits {input.splits:q} --min-component-ml {params.min_component_ml} --out {output:q} > {log:q} 2>&1"


rule summarise:
    input:
        scores=[f"{OUT}/evaluate/{arm}/scores.tsv" for arm in STUDY.arms],
    output:
        scores=f"{OUT}/evaluate/scores.tsv",
        summary=f"{OUT}/evaluate/summary.tsv",
        comparisons=f"{OUT}/evaluate/comparisons.tsv",
        agreement=f"{OUT}/evaluate/agreement.tsv",
    params:
        comparisons=[",".join(pair) for pair in config["evaluate"]["comparisons"] if set(pair) <= set(STUDY.arms)],
        bootstrap=config["evaluate"]["bootstrap"],
        confidence=config["evaluate"]["confidence"],
        seed=config["seed"],
        code=code("evaluate.summarise"),
    log:
        f"{OUT}/logs/evaluate/summarise.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/summarise.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.summarise --scores {input.scores:q} --comparisons {params.comparisons}"
        " --bootstrap {params.bootstrap} --confidence {params.confidence} --seed {params.seed}"
        " --out-scores {output.scores:q} --out-summary {output.summary:q} --out-comparisons {output.comparisons:q}"
        " --out-agreement {output.agreement:q} > {log:q} 2>&1"
