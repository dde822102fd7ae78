"""The rules whose jobs a whole job runs, and the digest of their code."""

from collections.abc import Collection, Mapping

from workflow_scripts.study.code_digest import code_digest
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.whole_jobs import ALL_STEPS

Steps = Mapping[str, tuple[str, ...]]

CASE_STEPS: Steps = {
    "ingest": ("ingest_ncct", "ingest_mri", "ingest_lesion", "ingest_brain"),
    "preprocess": (
        *("resample_ncct", "brain_mask", "prepare_mri", "register_mri", "apply_registration"),
        *("contralateral", "finalise", "lesion", "describe_case"),
    ),
}
BATCH_STEPS: Steps = {"segment": ("segment", "ensemble")}
WHOLE_JOBS: Mapping[str, Steps] = {"preprocess_case": CASE_STEPS, "segment_batch": BATCH_STEPS}


def names(steps: Steps) -> list[str]:
    """Return the names of the rules."""
    return [step for rules in steps.values() for step in rules]


def codes(steps: Steps) -> list[str]:
    """Return the digest of the code of each rule."""
    return [code_digest(f"{stage}.{step}") for stage, rules in steps.items() for step in rules]


def forced(named: Collection[str], rules: Collection[str]) -> list[str]:
    """Return which of these rules are to run again, where a call forces ``named``.

    Examples
    --------
    >>> forced(["preprocess_case"], ["ingest_ncct", "finalise"])
    ['ingest_ncct', 'finalise']
    >>> forced(["finalise", "split"], ["ingest_ncct", "finalise"])
    ['finalise']
    """
    whole = any(set(rules) <= set(names(steps)) for job, steps in WHOLE_JOBS.items() if job in named)
    return [rule for rule in rules if whole or ALL_STEPS in named or rule in named]


def require_jobs(option: str, named: Collection[str]) -> None:
    """Raise `StudyError` where an option names a step, which is no job of a study of whole jobs."""
    for job, steps in WHOLE_JOBS.items():
        if found := [name for name in named if name in names(steps)]:
            raise StudyError(
                f"{option} {found[0]}: with `jobs: cases` it is a step of {job}, which runs all steps of a case or "
                f"batch. Name {job}, or ask for a file that the step makes."
            )
