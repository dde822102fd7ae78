import shlex

from workflow_scripts.common.study import StudyError, load_study
from workflow_scripts.common.targets import stage_files

try:
    # The demo makes its cohort itself, and the jobs of a cluster parse this again: neither can, or need, look for scans.
    STUDY = load_study(
        config,
        [*workflow.configfiles, *(workflow.overwrite_configfiles or [])],
        check_paths=workflow.is_main_process and "phantom" not in config,
    )
except StudyError as error:
    raise WorkflowError(str(error)) from None

OUT = config["outdir"]


wildcard_constraints:
    cohort=r"[A-Za-z0-9-]+",
    case=r"[A-Za-z0-9-]+",
    arm=r"[A-Za-z0-9-]+",
    pretraining=r"[A-Za-z0-9-]+",
    images=r"[A-Za-z0-9-]+",
    seed=r"\d+",
    modality=r"dwi|adc",
    network=r"synthstrip|synthsr",


# One set-up for every environment: where the package lies, and ITK's threads beside those that Snakemake sets itself.
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={shlex.quote(workflow.basedir)} "
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=$OMP_NUM_THREADS; "
)


def per_case(pattern, cases):
    """Fill {cohort} and {case} of a pattern for each case; other wildcards stay."""
    return [pattern.replace("{cohort}", c.cohort).replace("{case}", c.case) for c in cases]


def targets(stage):
    """Files of the target all_<stage>."""
    return stage_files(STUDY, stage)
