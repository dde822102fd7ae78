from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/inputs.smk"


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


include: "rules/targets.smk"
include: "rules/phantom.smk"
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/split.smk"
include: "rules/pretrain_dataset.smk"
include: "rules/pretrain.smk"
include: "rules/pretrain_probe.smk"
include: "rules/finetune.smk"
include: "rules/segment.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
