from workflow_scripts.study.options import options


rule case_page:
    input:
        unpack(case_page_input),
    output:
        page=report(
            f"{REPORT}/cases/{{cohort}}/{{case}}.html",
            caption="captions/case.rst",
            category="Quality",
            subcategory="{cohort}",
            labels={"case": "{case}"},
        ),
        thumbnail=f"{REPORT}/cases/{{cohort}}/{{case}}.svg",
    params:
        options=case_page_options,
        code=code("report.case_page"),
    log:
        f"{OUT}/logs/report/case_page/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/case_page/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(1500),
        runtime=grows(10),
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
        case_json=lambda wildcards: per_case(
            f"{OUT}/preprocess/{{cohort}}/{{case}}/case.json", STUDY.in_cohorts([wildcards.cohort])
        ),
        pages=lambda wildcards: per_case(
            f"{REPORT}/cases/{{cohort}}/{{case}}.html", STUDY.in_cohorts([wildcards.cohort])
        ),
        thumbnails=lambda wildcards: per_case(
            f"{REPORT}/cases/{{cohort}}/{{case}}.svg", STUDY.in_cohorts([wildcards.cohort])
        ),
    output:
        report(
            f"{REPORT}/cases/{{cohort}}.html",
            caption="captions/cohort_page.rst",
            category="Quality",
            subcategory="{cohort}",
            labels={"case": "all, the most alarming first"},
        ),
    params:
        heading=options({"title": config["title"], "notice": config["notice"]}),
        cases=lambda wildcards: [case.case for case in STUDY.in_cohorts([wildcards.cohort])],
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        thumbnails=lambda wildcards: f"{REPORT}/cases/{wildcards.cohort}",
        code=code("report.cohort_page"),
    log:
        f"{OUT}/logs/report/cohort_page/{{cohort}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/cohort_page/{{cohort}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(500),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.cohort_page {params.heading:q} --cohort {wildcards.cohort} --cases {params.cases}"
        " --preprocess {params.preprocess:q} --thumbnails {params.thumbnails:q} --out {output:q} > {log:q} 2>&1"


rule segmentation_page:
    input:
        unpack(segmentation_page_input),
    output:
        f"{REPORT}/segmentations/{{cohort}}/{{case}}.html",
    params:
        options=segmentation_page_options,
        code=code("report.segmentation_page"),
    log:
        f"{OUT}/logs/report/segmentation_page/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/segmentation_page/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.segmentation_page --cohort {wildcards.cohort} --case {wildcards.case}"
        " --ncct {input.ncct:q} --brain {input.brain:q} {params.options:q} --out {output:q} > {log:q} 2>&1"
