from workflow_scripts.common.vocabulary import SPLITS


rule split:
    input:
        sheet=config["cases"],
        case_json=per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/case.json", STUDY.cases),
    output:
        splits=f"{OUT}/split/splits.tsv",
        balance=f"{OUT}/split/balance.tsv",
        leakage=f"{OUT}/split/leakage.json",
    params:
        # A folder, not the files: the paths of a large cohort are longer than a command line may be.
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        ratios=[config["split"]["ratios"][name] for name in SPLITS],
        size_strata=config["split"]["size_strata"],
        seed=config["seed"],
        code=code("split.split"),
    log:
        f"{OUT}/logs/split/split.log",
    benchmark:
        f"{OUT}/benchmarks/split/split.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.split.split --sheet {input.sheet:q} --preprocess {params.preprocess:q}"
        " --ratios {params.ratios} --size-strata {params.size_strata} --seed {params.seed}"
        " --out-splits {output.splits:q} --out-balance {output.balance:q} --out-leakage {output.leakage:q} > {log:q} 2>&1"
