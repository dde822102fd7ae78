rule figure_interpretation:
    input:
        embedding=paths.file(STUDY.results, "pretraining", "interpretation/embedding.tsv", pretraining=INTERPRETED),
        neighbours=paths.file(STUDY.results, "pretraining", "interpretation/neighbours.tsv", pretraining=INTERPRETED),
        slices=paths.file(STUDY.results, "pretraining", "interpretation/slices.npz", pretraining=INTERPRETED),
        splits="<split>/splits.tsv",
    output:
        report("<report>/figures/interpretation.png", caption="captions/interpretation.rst", category="Interpretation"),
    params:
        pretraining=INTERPRETED,
        code=code("report.figure_interpretation"),
    log:
        "<logs>/report/figure_interpretation.log",
    benchmark:
        "<benchmarks>/report/figure_interpretation.tsv"
    resources:
        **request("figure"),
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
        report("<report>/figures/probe.svg", caption="captions/probe.rst", category="Interpretation"),
    params:
        confidence=config["evaluate"]["confidence"],
        code=code("report.figure_probe"),
    log:
        "<logs>/report/figure_probe.log",
    benchmark:
        "<benchmarks>/report/figure_probe.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_probe --probes {input.probes:q} --confidence {params.confidence}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_neighbours:
    input:
        unpack(of_study(inputs.neighbours, pretraining=INTERPRETED)),
    output:
        report("<report>/figures/neighbours.png", caption="captions/neighbours.rst", category="Interpretation"),
    params:
        preprocess=stage_folder("preprocessed"),
        attribute=lambda wildcards: config["probe"]["attributes"][0],
        pretraining=INTERPRETED,
        code=code("report.figure_neighbours"),
    log:
        "<logs>/report/figure_neighbours.log",
    benchmark:
        "<benchmarks>/report/figure_neighbours.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_neighbours --neighbours {input.neighbours:q}"
        " --preprocess {params.preprocess:q} --attribute {params.attribute} --pretraining {params.pretraining}"
        " --out {output:q} > {log:q} 2>&1"
