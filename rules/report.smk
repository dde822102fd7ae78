from workflow_scripts.common.vocabulary import HELD_OUT, SPLITS, TABLES


report: "captions/workflow.rst"


REPORT = f"{OUT}/report"
BEST_ARMS = config["report"]["best_arms"]
SINGLE_CHANNEL = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 1]
TWO_CHANNELS = [arm for arm in STUDY.arms if len(STUDY.arm(arm)["channels"]) == 2]
INTERPRETED = config["report"]["interpreted"]
PROBES = [f"{OUT}/pretrain/{name}/probe.tsv" for name in STUDY.pretrainings] if config["probe"]["attributes"] else []

# The rows of each table; a table without arms is left out.
TABLE_ARMS = {
    "table1": SINGLE_CHANNEL,
    "table2": SINGLE_CHANNEL,
    "table3": BEST_ARMS,
    "tableB4": TWO_CHANNELS,
    "tableB5": TWO_CHANNELS,
    "filtered": STUDY.arms,
}
TABLE_FILES = [f"{REPORT}/tables/{name}.tsv" for name in TABLES if TABLE_ARMS[name]]
FIGURE_FILES = [
    f"{REPORT}/figures/cohort.svg",
    *(f"{REPORT}/figures/dice-{c}-{s}.svg" for c in config["run"]["evaluate"] for s in HELD_OUT),
    *(f"{REPORT}/figures/examples-{cohort}.png" for cohort in config["run"]["evaluate"]),
    f"{REPORT}/figures/finetune.svg",
    *([f"{REPORT}/figures/pretraining.svg"] if STUDY.pretrainings else []),
    *([f"{REPORT}/figures/interpretation.png"] if INTERPRETED else []),
    *([f"{REPORT}/figures/probe.svg"] if PROBES else []),
    *([f"{REPORT}/figures/neighbours.png"] if PROBES and INTERPRETED else []),
    f"{REPORT}/figures/quality.svg",
]
# Captions that the page shows; a figure's kind is its name before the first hyphen.
CAPTIONS = ["table", *dict.fromkeys(Path(path).stem.split("-")[0] for path in FIGURE_FILES)]


include: "report_pages.smk"
include: "report_interpretation.smk"


rule report_settings:
    output:
        f"{REPORT}/settings.yaml",
    params:
        # From a function, so that Snakemake does not look for wildcards in its braces.
        settings=report_settings,
        code=code("report.report_settings"),
    log:
        f"{OUT}/logs/report/report_settings.log",
    benchmark:
        f"{OUT}/benchmarks/report/report_settings.tsv"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    localrule: True
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.report_settings --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"


rule table:
    input:
        summary=f"{OUT}/evaluate/summary.tsv",
    output:
        report(f"{REPORT}/tables/{{table}}.tsv", caption="captions/table.rst", category="Tables"),
    params:
        arms=lambda wildcards: TABLE_ARMS[wildcards.table],
        split=lambda wildcards: TABLES[wildcards.table].split,
        criteria=lambda wildcards: TABLES[wildcards.table].criteria,
        code=code("report.table"),
    log:
        f"{OUT}/logs/report/table/{{table}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/table/{{table}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(500),
        runtime=grows(5),
    wildcard_constraints:
        table="|".join(TABLES),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.table --summary {input.summary:q} --arms {params.arms} --split {params.split}"
        " --criteria {params.criteria} --out {output:q} > {log:q} 2>&1"


rule figure_dice:
    input:
        scores=f"{OUT}/evaluate/scores.tsv",
        comparisons=f"{OUT}/evaluate/comparisons.tsv",
    output:
        report(f"{REPORT}/figures/dice-{{cohort}}-{{split}}.svg", caption="captions/dice.rst", category="Dice"),
    params:
        arms=BEST_ARMS,
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_dice"),
    log:
        f"{OUT}/logs/report/figure_dice/{{cohort}}-{{split}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_dice/{{cohort}}-{{split}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
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
        scores=f"{OUT}/evaluate/scores.tsv",
        images=lambda wildcards: [
            path
            for name in ("ncct", "lesion")
            for path in per_case(
                f"{OUT}/preprocess/{{cohort}}/{{case}}/{name}.nii.gz", STUDY.labelled([wildcards.cohort])
            )
        ],
        segmentations=lambda wildcards: [
            path
            for arm in BEST_ARMS
            for path in per_case(
                f"{OUT}/segment/{arm}/ensemble/{{cohort}}/{{case}}.nii.gz", STUDY.labelled([wildcards.cohort])
            )
        ],
    output:
        report(f"{REPORT}/figures/examples-{{cohort}}.png", caption="captions/examples.rst", category="Examples"),
    params:
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        segment=f"{OUT}/segment",
        arms=BEST_ARMS,
        examples=config["report"]["example_cases"],
        code=code("report.figure_examples"),
    log:
        f"{OUT}/logs/report/figure_examples/{{cohort}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_examples/{{cohort}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_examples --scores {input.scores:q} --preprocess {params.preprocess:q}"
        " --segment {params.segment:q} --cohort {wildcards.cohort} --arms {params.arms} --examples {params.examples}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_finetune:
    input:
        [f"{OUT}/finetune/{arm}/seed-{seed}/curves.tsv" for arm in STUDY.arms for seed in STUDY.seeds],
    output:
        report(f"{REPORT}/figures/finetune.svg", caption="captions/finetune.rst", category="Training"),
    params:
        finetune=lambda wildcards: f"{OUT}/finetune",
        arms=STUDY.arms,
        seeds=STUDY.seeds,
        code=code("report.figure_finetune"),
    log:
        f"{OUT}/logs/report/figure_finetune.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_finetune.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_finetune --finetune {params.finetune:q} --arms {params.arms}"
        " --seeds {params.seeds} --out {output:q} > {log:q} 2>&1"


rule figure_pretraining:
    input:
        [f"{OUT}/pretrain/{name}/{table}.tsv" for name in STUDY.pretrainings for table in ("curves", "rankme")],
    output:
        report(f"{REPORT}/figures/pretraining.svg", caption="captions/pretraining.rst", category="Training"),
    params:
        pretrain=lambda wildcards: f"{OUT}/pretrain",
        pretrainings=STUDY.pretrainings,
        code=code("report.figure_pretraining"),
    log:
        f"{OUT}/logs/report/figure_pretraining.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_pretraining.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_pretraining --pretrain {params.pretrain:q}"
        " --pretrainings {params.pretrainings} --out {output:q} > {log:q} 2>&1"


rule figure_cohort:
    input:
        splits=f"{OUT}/split/splits.tsv",
    output:
        report(f"{REPORT}/figures/cohort.svg", caption="captions/cohort.rst", category="Cases"),
    params:
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_cohort"),
    log:
        f"{OUT}/logs/report/figure_cohort.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_cohort.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_cohort --splits {input.splits:q} --min-component-ml {params.min_component_ml}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_quality:
    input:
        splits=f"{OUT}/split/splits.tsv",
        case_json=per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/case.json", STUDY.cases),
    output:
        report(f"{REPORT}/figures/quality.svg", caption="captions/quality.rst", category="Cases"),
    params:
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        code=code("report.figure_quality"),
    log:
        f"{OUT}/logs/report/figure_quality.log",
    benchmark:
        f"{OUT}/benchmarks/report/figure_quality.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_quality --splits {input.splits:q} --preprocess {params.preprocess:q}"
        " --out {output:q} > {log:q} 2>&1"


rule index:
    input:
        settings=f"{REPORT}/settings.yaml",
        split=[f"{OUT}/split/{name}" for name in ("splits.tsv", "leakage.json")],
        audits=[f"{OUT}/pretrain/{name}/audit.json" for name in STUDY.pretrainings],
        probes=PROBES,
        case_json=per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/case.json", STUDY.cases),
        evaluate=[f"{OUT}/evaluate/{name}.tsv" for name in ("summary", "comparisons", "agreement")],
        tables=TABLE_FILES,
        figures=FIGURE_FILES,
        captions=[f"{workflow.basedir}/rules/captions/{kind}.rst" for kind in CAPTIONS],
        requirements=f"{workflow.basedir}/requirements.txt",
        cohorts=[f"{REPORT}/cases/{cohort}.html" for cohort in dict.fromkeys(case.cohort for case in STUDY.cases)],
        segmentations=per_case(
            f"{REPORT}/segmentations/{{cohort}}/{{case}}.html", STUDY.in_cohorts(config["run"]["segment"])
        ),
    output:
        report(f"{REPORT}/index.html", caption="captions/index.rst", category="Whole report"),
    params:
        split=lambda wildcards: f"{OUT}/split",
        preprocess=lambda wildcards: f"{OUT}/preprocess",
        evaluate=lambda wildcards: f"{OUT}/evaluate",
        code=code("report.index"),
    log:
        f"{OUT}/logs/report/index.log",
    benchmark:
        f"{OUT}/benchmarks/report/index.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.index --settings {input.settings:q} --split {params.split:q}"
        " --audits {input.audits:q} --probes {input.probes:q} --preprocess {params.preprocess:q}"
        " --evaluate {params.evaluate:q} --tables {input.tables:q}"
        " --figures {input.figures:q} --captions {input.captions:q} --requirements {input.requirements:q}"
        " --out {output:q} > {log:q} 2>&1"
