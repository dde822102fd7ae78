from workflow_scripts.common.vocabulary import SPLITS


rule split:
    """Deal the patients of each cohort to training, validation and test."""
    input:
        sheet=local(config["cases"]),
        case_json=inputs.split.case_records(STUDY),
    output:
        splits="<split>/splits.tsv",
        balance="<split>/balance.tsv",
        leakage="<split>/leakage.json",
    params:
        # A folder, not the files: the paths of a large cohort are longer than a command line may be.
        preprocess=stage_folder("preprocessed"),
        ratios=[config["split"]["ratios"][name] for name in SPLITS],
        size_strata=config["split"]["size_strata"],
        seed=config["seed"],
        code=code("split.split"),
    log:
        "<logs>/split/split.log",
    benchmark:
        "<benchmarks>/split/split.tsv"
    resources:
        **request("gather"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.split.split --sheet {input.sheet:q} --preprocess {params.preprocess:q}"
        " --ratios {params.ratios} --size-strata {params.size_strata} --seed {params.seed}"
        " --out-splits {output.splits:q} --out-balance {output.balance:q} --out-leakage {output.leakage:q} > {log:q} 2>&1"
