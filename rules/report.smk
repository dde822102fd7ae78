from workflow_scripts.common.vocabulary import HELD_OUT, SPLITS, TABLES


report: "captions/workflow.rst"


BEST_ARMS = config["report"]["best_arms"]
SINGLE_CHANNEL = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 1]
TWO_CHANNELS = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 2]
INTERPRETED = config["report"]["interpreted"]
PROBED = STUDY.pretrainings if config["probe"]["attributes"] else []
PROBES = [f"<results>/pretrain/{name}/probe.tsv" for name in PROBED]

# The rows of each table; a table without arms is left out.
TABLE_ARMS = {
    "table1": SINGLE_CHANNEL,
    "table2": SINGLE_CHANNEL,
    "table3": BEST_ARMS,
    "tableB4": TWO_CHANNELS,
    "tableB5": TWO_CHANNELS,
    "filtered": STUDY.arms,
}
TABLE_FILES = [f"<report>/tables/{name}.tsv" for name in TABLES if TABLE_ARMS[name]]
FIGURE_FILES = [
    "<report>/figures/cohort.svg",
    *(f"<report>/figures/dice-{c}-{s}.svg" for c in config["run"]["evaluate"] for s in HELD_OUT),
    *(f"<report>/figures/examples-{cohort}.png" for cohort in config["run"]["evaluate"]),
    f"<report>/figures/finetune.svg",
    *([f"<report>/figures/pretraining.svg"] if STUDY.pretrainings else []),
    *([f"<report>/figures/interpretation.png"] if INTERPRETED else []),
    *([f"<report>/figures/probe.svg"] if PROBES else []),
    *([f"<report>/figures/neighbours.png"] if PROBES and INTERPRETED else []),
    f"<report>/figures/quality.svg",
]
# Captions that the page shows; a figure's kind is its name before the first hyphen.
CAPTIONS = ["table", *dict.fromkeys(Path(path).stem.split("-")[0] for path in FIGURE_FILES)]


include: "report_pages.smk"
include: "report_interpretation.smk"


rule report_settings:
    output:
        "<report>/settings.yaml",
    params:
        # From a function, so that Snakemake does not look for wildcards in its braces.
        settings=of_study(arguments.report_settings),
        code=code("report.report_settings"),
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
        "python -m workflow_scripts.report.report_settings --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"


rule table:
    input:
        summary="<evaluated>/summary.tsv",
    output:
        report("<report>/tables/{table}.tsv", caption="captions/table.rst", category="Tables"),
    params:
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
        "python -m workflow_scripts.report.table --summary {input.summary:q} --arms {params.arms} --split {params.split}"
        " --criteria {params.criteria} --out {output:q} > {log:q} 2>&1"


rule figure_dice:
    input:
        scores="<evaluated>/scores.tsv",
        comparisons="<evaluated>/comparisons.tsv",
    output:
        report("<report>/figures/dice-{cohort}-{split}.svg", caption="captions/dice.rst", category="Dice"),
    params:
        arms=BEST_ARMS,
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_dice"),
    log:
        "<logs>/report/figure_dice/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_dice/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(SPLITS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_dice --scores {input.scores:q} --comparisons {input.comparisons:q}"
        " --arms {params.arms} --cohort {wildcards.cohort} --split {wildcards.split}"
        " --min-component-ml {params.min_component_ml} --out {output:q} > {log:q} 2>&1"


rule figure_examples:
    input:
        unpack(of_study(inputs.examples)),
    output:
        report("<report>/figures/examples-{cohort}.png", caption="captions/examples.rst", category="Examples"),
    params:
        preprocess=stage_folder("preprocessed"),
        segment=stage_folder("segmented"),
        arms=BEST_ARMS,
        examples=config["report"]["example_cases"],
        code=code("report.figure_examples"),
    log:
        "<logs>/report/figure_examples/{cohort}.log",
    benchmark:
        "<benchmarks>/report/figure_examples/{cohort}.tsv"
    resources:
        **request("gather"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_examples --scores {input.scores:q} --preprocess {params.preprocess:q}"
        " --segment {params.segment:q} --cohort {wildcards.cohort} --arms {params.arms} --examples {params.examples}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_finetune:
    input:
        [f"<results>/finetune/{arm}/seed-{seed}/curves.tsv" for arm in STUDY.arms for seed in STUDY.seeds],
    output:
        report("<report>/figures/finetune.svg", caption="captions/finetune.rst", category="Training"),
    params:
        finetune=stage_folder("arm"),
        arms=STUDY.arms,
        seeds=STUDY.seeds,
        code=code("report.figure_finetune"),
    log:
        "<logs>/report/figure_finetune.log",
    benchmark:
        "<benchmarks>/report/figure_finetune.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_finetune --finetune {params.finetune:q} --arms {params.arms}"
        " --seeds {params.seeds} --out {output:q} > {log:q} 2>&1"


rule figure_pretraining:
    input:
        [f"<results>/pretrain/{name}/{table}.tsv" for name in STUDY.pretrainings for table in ("curves", "rankme")],
    output:
        report("<report>/figures/pretraining.svg", caption="captions/pretraining.rst", category="Training"),
    params:
        pretrain=stage_folder("pretraining"),
        pretrainings=STUDY.pretrainings,
        code=code("report.figure_pretraining"),
    log:
        "<logs>/report/figure_pretraining.log",
    benchmark:
        "<benchmarks>/report/figure_pretraining.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_pretraining --pretrain {params.pretrain:q}"
        " --pretrainings {params.pretrainings} --out {output:q} > {log:q} 2>&1"


rule figure_cohort:
    input:
        splits="<split>/splits.tsv",
    output:
        report("<report>/figures/cohort.svg", caption="captions/cohort.rst", category="Cases"),
    params:
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_cohort"),
    log:
        "<logs>/report/figure_cohort.log",
    benchmark:
        "<benchmarks>/report/figure_cohort.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_cohort --splits {input.splits:q} --min-component-ml {params.min_component_ml}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_quality:
    input:
        splits="<split>/splits.tsv",
        case_json=inputs.case_records(STUDY),
    output:
        report("<report>/figures/quality.svg", caption="captions/quality.rst", category="Cases"),
    params:
        preprocess=stage_folder("preprocessed"),
        code=code("report.figure_quality"),
    log:
        "<logs>/report/figure_quality.log",
    benchmark:
        "<benchmarks>/report/figure_quality.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_quality --splits {input.splits:q} --preprocess {params.preprocess:q}"
        " --out {output:q} > {log:q} 2>&1"


rule index:
    input:
        settings="<report>/settings.yaml",
        split=[f"<split>/{name}" for name in ("splits.tsv", "leakage.json")],
        audits=[f"<results>/pretrain/{name}/audit.json" for name in STUDY.pretrainings],
        probes=PROBES,
        case_json=inputs.case_records(STUDY),
        evaluate=[f"<evaluated>/{name}.tsv" for name in ("summary", "comparisons", "agreement")],
        tables=TABLE_FILES,
        figures=FIGURE_FILES,
        captions=[f"{workflow.basedir}/rules/captions/{kind}.rst" for kind in CAPTIONS],
        requirements=f"{workflow.basedir}/requirements.txt",
        cohorts=inputs.cohort_pages(STUDY),
        segmentations=inputs.segmentation_pages(STUDY),
    output:
        report("<report>/index.html", caption="captions/index.rst", category="Whole report"),
    params:
        split=stage_folder("split"),
        preprocess=stage_folder("preprocessed"),
        evaluate=stage_folder("evaluated"),
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
        " --evaluate {params.evaluate:q} --tables {input.tables:q}"
        " --figures {input.figures:q} --captions {input.captions:q} --requirements {input.requirements:q}"
        " --out {output:q} > {log:q} 2>&1"
