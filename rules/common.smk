import shlex
from pathlib import Path

from workflow_scripts.study.code_digest import code_digest
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import load_study
from workflow_scripts.study.targets import arm_files, cohort_files, stage_files
from workflow_scripts.common.training_store import made_with_other_code

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


for stage in ("pretrain", "finetune"):
    states = Path(OUT, "state", stage)
    if workflow.is_main_process and states.is_dir():
        if names := made_with_other_code(states, code_digest(f"{stage}.{stage}")):
            logger.warning(
                f"Code of {stage} has changed since these were trained, which are kept: {', '.join(names)}. "
                f"To train them anew: --forcerun {stage} --config retrain=true"
            )


# One set-up for every environment: where the package lies, and ITK's threads beside those that Snakemake sets itself.
# RETRAIN is a variable of the shell and no param of the trainings that name it: giving it must not start one.
shell.prefix(
    "set -euo pipefail; "
    f"export PYTHONPATH={shlex.quote(workflow.basedir)} "
    f"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=$OMP_NUM_THREADS; RETRAIN={str(config['retrain']).lower()}; "
)


def per_case(pattern, cases):
    """Fill {cohort} and {case} of a pattern for each case; other wildcards stay."""
    return [pattern.replace("{cohort}", c.cohort).replace("{case}", c.case) for c in cases]


def code(module):
    """Digest of a rule's code as a param of its jobs: they run again when it changes, and not for a comment.

    Trainings have none. They are told of other code and keep what they have learned (workflow_scripts/common/training_store.py).
    """
    return lambda wildcards: code_digest(module)


def grows(request):
    """A resource that a second try asks for twice and every later one for three times, as memory ran out or time did.

    No more than that: a long training comes back once for every time limit, and needs what it needed before.
    """
    return lambda wildcards, attempt: request * min(attempt, 3)


def targets(stage):
    """Files of the target all_<stage>; asked for only by whoever builds the target, and not by each job's parsing."""
    return lambda wildcards: stage_files(STUDY, stage)
