rule figure_interpretation:
    input:
        embedding=f"{OUT}/pretrain/{INTERPRETED}/interpretation/embedding.tsv",
        neighbours=f"{OUT}/pretrain/{INTERPRETED}/interpretation/neighbours.tsv",
        slices=f"{OUT}/pretrain/{INTERPRETED}/interpretation/slices.npz",
        splits=f"{OUT}/split/splits.tsv",
    output:
        report(f"{REPORT}/figures/interpretation.png", caption="captions/interpretation.rst", category="Interpretation"),
    params:
        pretraining=INTERPRETED,
        code=code("report.figure_interpretation"),
    log:
        f"{OUT}/logs/report/figure_interpretation.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_interpretation.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_interpretation --embedding {input.embedding:q}"
        " --neighbours {input.neighbours:q} --slices {input.slices:q} --splits {input.splits:q}"
        " --pretraining {params.pretraining} --out {output:q} > {log:q} 2>&1"


rule figure_probe:
    input:
        probes=PROBES,
    output:
        report(f"{REPORT}/figures/probe.svg", caption="captions/probe.rst", category="Interpretation"),
    params:
        confidence=config["evaluate"]["confidence"],
        code=code("report.figure_probe"),
    log:
        f"{OUT}/logs/report/figure_probe.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_probe.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_probe --probes {input.probes:q} --confidence {params.confidence}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_neighbours:
    input:
        neighbours=f"{OUT}/pretrain/{INTERPRETED}/neighbours.tsv",
        images=lambda wildcards: per_case(
            f"{OUT}/preprocess/{{cohort}}/{{case}}/ncct.nii.gz",
            STUDY.image_set_cases(config["pretrainings"][INTERPRETED]["image_set"]),
        ),
    output:
        report(f"{REPORT}/figures/neighbours.png", caption="captions/neighbours.rst", category="Interpretation"),
    params:
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        attribute=lambda wildcards: config["probe"]["attributes"][0],
        pretraining=INTERPRETED,
        code=code("report.figure_neighbours"),
    log:
        f"{OUT}/logs/report/figure_neighbours.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_neighbours.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_neighbours --neighbours {input.neighbours:q}"
        " --preprocess {params.preprocess:q} --attribute {params.attribute} --pretraining {params.pretraining}"
        " --out {output:q} > {log:q} 2>&1"
