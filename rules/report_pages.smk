rule case_page:
    input:
        unpack(of_study(inputs.case_page)),
    output:
        page=report(
            "<report>/cases/{cohort}/{case}.html",
            caption="captions/case.rst",
            category="Quality",
            subcategory="{cohort}",
            labels={"case": "{case}"},
        ),
        thumbnail="<report>/cases/{cohort}/{case}.svg",
    params:
        options=of_study(arguments.case_page),
        code=code("report.case_page"),
    log:
        "<logs>/report/case_page/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/report/case_page/{cohort}/{case}.tsv"
    resources:
        **request("page"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.case_page --cohort {wildcards.cohort} --case {wildcards.case}"
        " --case-json {input.case_json:q} --ingest-json {input.ingest_json:q} --upright {input.upright:q} --unstripped {input.unstripped:q}"
        " --brain-mask {input.brain_mask:q} --ncct {input.ncct:q} --mirrored {input.mirrored:q}"
        " --difference {input.difference:q} --brain {input.brain:q} {params.options:q}"
        " --out-page {output.page:q} --out-thumbnail {output.thumbnail:q} > {log:q} 2>&1"


rule cohort_page:
    input:
        unpack(of_study(inputs.cohort_page)),
    output:
        report(
            "<report>/cases/{cohort}.html",
            caption="captions/cohort_page.rst",
            category="Quality",
            subcategory="{cohort}",
            labels={"case": "all, the most alarming first"},
        ),
    params:
        heading=options({"title": config["title"], "notice": config["notice"]}),
        cases=of_study(arguments.cohort_cases),
        preprocess=stage_folder("preprocessed"),
        thumbnails=lambda wildcards: paths.file(STUDY.results, "report", f"cases/{wildcards.cohort}"),
        code=code("report.cohort_page"),
    log:
        "<logs>/report/cohort_page/{cohort}.log",
    benchmark:
        "<benchmarks>/report/cohort_page/{cohort}.tsv"
    resources:
        **request("small"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.cohort_page {params.heading:q} --cohort {wildcards.cohort} --cases {params.cases}"
        " --preprocess {params.preprocess:q} --thumbnails {params.thumbnails:q} --out {output:q} > {log:q} 2>&1"


rule segmentation_page:
    input:
        unpack(of_study(inputs.segmentation_page)),
    output:
        "<report>/segmentations/{cohort}/{case}.html",
    params:
        options=of_study(arguments.segmentation_page),
        code=code("report.segmentation_page"),
    log:
        "<logs>/report/segmentation_page/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/report/segmentation_page/{cohort}/{case}.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.segmentation_page --cohort {wildcards.cohort} --case {wildcards.case}"
        " --ncct {input.ncct:q} --brain {input.brain:q} {params.options:q} --out {output:q} > {log:q} 2>&1"
