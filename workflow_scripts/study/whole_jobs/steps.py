"""The rules whose jobs a whole job runs, and the digest of their code."""

from collections.abc import Collection, Iterable, Mapping

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


def forced(named: Collection[str], rules: Collection[str], record: str) -> list[str]:
    """Return which steps of a whole job are to run again, where a call forces ``named``.

    The name of the job alone, and the job's ``record``, mean all of its steps.

    Examples
    --------
    >>> forced(["preprocess_case"], ["ingest_ncct", "finalise"], "C1/files.json")
    ['ingest_ncct', 'finalise']
    >>> forced(["preprocess_case", "finalise", "split"], ["ingest_ncct", "finalise"], "C1/files.json")
    ['finalise']
    >>> forced(["C2/files.json"], ["ingest_ncct", "finalise"], "C1/files.json")
    []
    """
    found = [rule for rule in rules if rule in named]
    whole = any(set(rules) <= set(names(steps)) for job, steps in WHOLE_JOBS.items() if job in named)
    return list(rules) if ALL_STEPS in named or record in named or (whole and not found) else found


def require_jobs(option: str, named: Collection[str], together: bool = False) -> None:
    """Raise `StudyError` where an option names a step, which is no job of a study of whole jobs.

    ``together``: the job may be named beside it.
    """
    for job, steps in WHOLE_JOBS.items():
        found = [name for name in named if name in names(steps)]
        if found and not (together and job in named):
            wanted = f"{option} {job} {found[0]}" if together else f"{option} {job}, or a file that the step makes"
            raise StudyError(
                f"{option} {found[0]}: with `jobs: cases` it is a step of {job}, which runs all steps of a case or "
                f"batch. Give {wanted}."
            )


def require_alone(single: Mapping[str, str], jobs: Iterable[tuple[str, Collection[str]]]) -> None:
    """Raise `StudyError` where single steps run in one call with what makes or reads the same files.

    Parameters
    ----------
    single
        record of a case or batch, to a file that a single step makes anew
    jobs
        all jobs that run: rule, files that it reads and makes; a record stands for all files of its case or batch
    """
    for rule, files in jobs:
        for record in single.keys() & set(files):
            alone = single[record]
            raise StudyError(
                f"{alone} and a job of {rule} in one call: with `jobs: cases` single steps make the first, and {rule} "
                f"makes or reads files of {record}. Give two calls, the first for {alone} alone."
            )


def require_files_known(options: Mapping[str, bool]) -> None:
    """Raise `StudyError` for an option that removes outputs: Snakemake knows only the records of whole jobs."""
    for option, given in options.items():
        if given:
            raise StudyError(
                f"{option}: with `jobs: cases` Snakemake knows a record of the files of a case, and not these files. "
                "Give --config jobs=steps with it."
            )
