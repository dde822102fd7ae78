from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        targets("report"),


rule all_ingest:
    input:
        targets("ingest"),


rule all_preprocess:
    input:
        targets("preprocess"),


rule all_split:
    input:
        targets("split"),


rule all_pretrain:
    input:
        targets("pretrain"),


rule all_finetune:
    input:
        targets("finetune"),


rule all_segment:
    input:
        targets("segment"),


rule all_evaluate:
    input:
        targets("evaluate"),


rule all_report:
    input:
        targets("report"),


# Targets by cohort and by arm; any file is a target by its name.
for cohort in STUDY.cohorts:

    rule:
        name:
            f"cohort_{cohort}"
        input:
            lambda wildcards, cohort=cohort: cohort_files(STUDY, cohort),


for arm in STUDY.arms:

    rule:
        name:
            f"arm_{arm}"
        input:
            lambda wildcards, arm=arm: arm_files(STUDY, arm),


include: "rules/phantom.smk"
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/split.smk"
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
include: "rules/segment.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


# Last, since constraints reach the wildcards of pathvars only in rules that are there already (Snakemake 9.27).
wildcard_constraints:
    cohort=r"[A-Za-z0-9-]+",
    case=r"[A-Za-z0-9-]+",
    arm=r"[A-Za-z0-9-]+",
    pretraining=r"[A-Za-z0-9-]+",
    images=r"[A-Za-z0-9-]+",
    seed=r"\d+",
    modality=r"dwi|adc",
    network=r"synthstrip|synthsr",
