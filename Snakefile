from snakemake.utils import min_version

min_version("9.27")


include: "rules/place.smk"


configfile: f"{REPOSITORY}/config.yaml"


include: "rules/common.smk"
include: "rules/storage.smk"
include: "rules/call.smk"


if config["container"]:

    container: config["container"]


rule all:
    """Everything: masks, scores, tables, figures and the report."""
    default_target: True
    input:
        targets("report"),


rule all_ingest:
    """Scans read: upright NCCT, MRI and lesion masks."""
    input:
        targets("ingest"),


rule all_preprocess:
    """Final images of all cases, and the pages that show their quality."""
    input:
        targets("preprocess"),


rule all_split:
    """Patients dealt to training, validation and test."""
    input:
        targets("split"),


rule all_pretrain:
    """Encoders pretrained without labels, with audit and probe."""
    input:
        targets("pretrain"),


rule all_finetune:
    """Models of all arms and seeds."""
    input:
        targets("finetune"),


rule all_segment:
    """Lesion masks of all arms, on the grids of the scans."""
    input:
        targets("segment"),


rule all_evaluate:
    """Scores, summaries and comparisons of all arms."""
    input:
        targets("evaluate"),


rule all_report:
    """The report, and the masks that it shows."""
    input:
        targets("report"),


# Targets by cohort and by arm; any file is a target by its name.
for cohort in STUDY.cohorts:

    rule:
        """The final images of the cases of this cohort."""
        name:
            f"cohort_{cohort}"
        input:
            lambda wildcards, cohort=cohort: cohort_files(STUDY, cohort),


for arm in STUDY.arms:

    rule:
        """The masks and scores of this arm."""
        name:
            f"arm_{arm}"
        input:
            lambda wildcards, arm=arm: arm_files(STUDY, arm),

    rule:
        """The model of this arm, ready to leave the study."""
        name:
            f"export_{arm}"
        input:
            paths.file(STUDY.results, "model", arm=arm),


for arm in STUDY.label_arms:

    rule:
        """The scores of this arm on fewer labels."""
        name:
            f"labels_{arm}"
        input:
            paths.file(STUDY.results, "evaluated", f"{arm}/label_scores.tsv"),


for budget in STUDY.budgets:

    rule:
        """The masks of an arm on this number of labels."""
        name:
            f"arm_{budget}"
        input:
            inputs.evaluate.budget_masks(STUDY, budget),


include: "rules/phantom.smk"
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/whole_jobs.smk"
include: "rules/split.smk"
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
include: "rules/segment.smk"
include: "rules/export.smk"
include: "rules/new_patient.smk"
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
    batch=r"\d+",
    modality=r"dwi|adc",
    network=r"synthstrip|synthsr",


constrain_storage()


# Last of all, when every rule is known.
if not IN_MODULE:
    check_call()
