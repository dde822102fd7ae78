from workflow_scripts.common.vocabulary import HELD_OUT, SPLITS, TABLES, TEST


report: "captions/workflow.rst"


BEST_ARMS = config["report"]["best_arms"]
TEST_ARMS = STUDY.test_arms
SINGLE_CHANNEL = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 1]
TWO_CHANNELS = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 2]
INTERPRETED = config["report"]["interpreted"]
PROBED = STUDY.pretrainings if config["probe"]["attributes"] else []
PROBES = [f"<results>/pretrain/{name}/probe.tsv" for name in PROBED]

# The rows of each table; a table without arms is left out.
TABLE_ARMS = {
    "table1": SINGLE_CHANNEL,
    "table2": SINGLE_CHANNEL,
    "table3": TEST_ARMS,
    "tableB4": TWO_CHANNELS,
    "tableB5": TWO_CHANNELS,
    "filtered": STUDY.arms,
}
TABLE_FILES = [f"<report>/tables/{name}.tsv" for name in TABLES if TABLE_ARMS[name]]
FIGURE_FILES = [
    "<report>/figures/cohort.svg",
    *(
        f"<report>/figures/{kind}-{cohort}-{split}.svg"
        for kind in ("dice", "size", "volumes", "qq")
        for cohort in config["run"]["evaluate"]
        for split in HELD_OUT
        if split != TEST or TEST_ARMS
    ),
    *(
        f"<report>/figures/labels-{cohort}-{split}.svg"
        for cohort in config["run"]["evaluate"]
        for split in HELD_OUT
        if STUDY.budgets and (split != TEST or set(STUDY.label_arms) & set(TEST_ARMS))
    ),
    *(
        f"<report>/figures/{kind}-{cohort}.png"
        for kind in ("examples", "failures")
        for cohort in config["run"]["evaluate"]
    ),
    "<report>/figures/finetune.svg",
    *(["<report>/figures/pretraining.svg"] if STUDY.pretrainings else []),
    *(f"<report>/figures/interpretation-{name}.png" for name in INTERPRETED),
    *(["<report>/figures/probe.svg"] if PROBES else []),
    *(f"<report>/figures/neighbours-{name}.png" for name in INTERPRETED if PROBES),
    "<report>/figures/quality.svg",
]
LABEL_TABLES = ["label_curve", "label_savings"] if STUDY.budgets else []
# What the page reads of an arm's trainings.
ARM_RECORDS = ["settings.yaml", "nnunet/plans.json", *(f"seed-{seed}/curves.tsv" for seed in STUDY.seeds)]
# Captions that the page shows; a figure's kind is its name before the first hyphen.
CAPTIONS = ["table", *dict.fromkeys(Path(path).stem.split("-")[0] for path in FIGURE_FILES)]


include: "report_figures.smk"


rule report_settings:
    """Write the settings that the report tells into a file."""
    output:
        "<report>/settings.yaml",
    params:
        # From a function, so that Snakemake does not look for wildcards in its braces.
        settings=of_study(arguments.report_settings),
        code=code("common.write_settings"),
    log:
        "<logs>/report/report_settings.log",
    benchmark:
        "<benchmarks>/report/report_settings.tsv"
    resources:
        **request("small"),
    localrule: True
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.common.write_settings --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"


rule table:
    """Write a table of the report."""
    input:
        summary="<evaluated>/summary.tsv",
        agreement="<evaluated>/agreement.tsv",
        paper=local(f"{REPOSITORY}/workflow_scripts/report/tables/paper.tsv"),
    output:
        tsv=report("<report>/tables/{table}.tsv", caption="captions/table.rst", category="Tables"),
        markdown="<report>/tables/{table}.md",
        latex="<report>/tables/{table}.tex",
    params:
        heading=lambda wildcards: options(
            {"title": TABLES[wildcards.table].title, "notice": config["notice"]}
            | {
                name.replace("_", "-"): config["evaluate"][name]
                for name in ("min_component_ml", "confidence", "selected_on")
            }
        ),
        arms=lambda wildcards: TABLE_ARMS[wildcards.table],
        split=lambda wildcards: TABLES[wildcards.table].split,
        criteria=lambda wildcards: TABLES[wildcards.table].criteria,
        code=code("report.table"),
    log:
        "<logs>/report/table/{table}.log",
    benchmark:
        "<benchmarks>/report/table/{table}.tsv"
    resources:
        **request("small"),
    wildcard_constraints:
        table="|".join(TABLES),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.table --summary {input.summary:q} --agreement {input.agreement:q}"
        " --arms {params.arms} --split {params.split} --criteria {params.criteria} {params.heading:q} --paper {input.paper:q}"
        " --out-tsv {output.tsv:q} --out-markdown {output.markdown:q} --out-latex {output.latex:q} > {log:q} 2>&1"


rule case_page:
    """Write the page of a case."""
    input:
        of_study(inputs.report.case_page),
    output:
        # Not marked for Snakemake's own report, which would grow to 430 MB with the paper's cases (docs/speed.md).
        page="<report>/cases/{cohort}/{case}.html",
        thumbnail="<report>/cases/{cohort}/{case}.svg",
    params:
        options=of_study(arguments.case_page),
        kept=where_kept(of_study(arguments.case_page)),
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
        "python -m workflow_scripts.report.case_page --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.kept:q}"
        " --out-page {output.page:q} --out-thumbnail {output.thumbnail:q} > {log:q} 2>&1"


rule cohort_page:
    """Write the page of a cohort: its cases, the most suspicious first."""
    input:
        unpack(of_study(inputs.report.cohort_page)),
    output:
        report(
            "<report>/cases/{cohort}.html",
            caption="captions/cohort_page.rst",
            category="Quality",
            labels={"cohort": "{cohort}"},
        ),
    params:
        heading=lambda wildcards: options({"title": config["title"], "notice": config["notice"]}),
        cases=of_study(arguments.cohort_cases),
        preprocess=stage_folder("preprocessed"),
        thumbnails=lambda wildcards, input: paths.local_folder(
            paths.file(STUDY.results, "report", f"cases/{wildcards.cohort}"), input
        ),
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
        "python -m workflow_scripts.report.cohort_page {params.heading:q} --cohort={wildcards.cohort} --cases {params.cases}"
        " --preprocess {params.preprocess:q} --thumbnails {params.thumbnails:q} --out {output:q} > {log:q} 2>&1"


rule segmentation_page:
    """Write the page of a segmented case."""
    input:
        unpack(of_study(inputs.report.segmentation_page)),
    output:
        "<report>/segmentations/{cohort}/{case}.html",
    params:
        options=of_study(arguments.segmentation_page),
        kept=where_kept(of_study(arguments.segmentation_page)),
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
        "python -m workflow_scripts.report.segmentation_page --cohort={wildcards.cohort} --case={wildcards.case}"
        " --splits {input.splits:q} {params.kept:q} --out {output:q} > {log:q} 2>&1"


rule index:
    """Write the first page of the report."""
    input:
        settings="<report>/settings.yaml",
        split=[f"<split>/{name}" for name in ("splits.tsv", "balance.tsv", "leakage.json")],
        ingest_json=inputs.report.acquisition_records(STUDY),
        pretrain=[
            f"<results>/pretrain/{name}/{file}"
            for name in STUDY.pretrainings
            for file in ("settings.yaml", "curves.tsv")
        ],
        finetune=[f"<results>/finetune/{arm}/{file}" for arm in STUDY.arms for file in ARM_RECORDS],
        clinical=local(config["report"]["clinical"] or []),
        audits=[f"<results>/pretrain/{name}/audit.json" for name in STUDY.pretrainings],
        probes=PROBES,
        case_json=inputs.split.case_records(STUDY),
        evaluate=[
            f"<evaluated>/{name}.tsv"
            for name in ("summary", "comparisons", "agreement", "ranks", "variance", "subgroups", "test_looks")
            + ("acquired_summary", "acquired_comparisons", *LABEL_TABLES)
        ],
        tables=TABLE_FILES,
        figures=FIGURE_FILES,
        captions=local([f"{REPOSITORY}/rules/captions/{kind}.rst" for kind in CAPTIONS]),
        requirements=local(f"{REPOSITORY}/requirements.txt"),
        cohorts=inputs.report.cohort_pages(STUDY),
        segmentations=inputs.report.segmentation_pages(STUDY),
    output:
        report("<report>/index.html", caption="captions/index.rst", category="Whole report"),
    params:
        split=stage_folder("split"),
        preprocess=stage_folder("preprocessed"),
        evaluate=stage_folder("evaluated"),
        ingest=stage_folder("ingested"),
        pretrain=stage_folder("pretraining"),
        finetune=stage_folder("arm"),
        clinical=options({"clinical": config["report"]["clinical"]}),
        code=code("report.index"),
    log:
        "<logs>/report/index.log",
    benchmark:
        "<benchmarks>/report/index.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.index --settings {input.settings:q} --split {params.split:q}"
        " --audits {input.audits:q} --probes {input.probes:q} --preprocess {params.preprocess:q}"
        " --ingest {params.ingest:q} --pretrain {params.pretrain:q} --finetune {params.finetune:q} {params.clinical:q}"
        " --evaluate {params.evaluate:q} --tables {input.tables:q}"
        " --figures {input.figures:q} --captions {input.captions:q} --requirements {input.requirements:q}"
        " --out {output:q} > {log:q} 2>&1"
