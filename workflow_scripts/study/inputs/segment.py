"""What the rules of segment read, and the masks of an arm."""

from collections.abc import Iterable

from workflow_scripts.common.vocabulary import seed_member
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import Named, file_of, results_of_cases
from workflow_scripts.study.study import Study


def images_to_segment(study: Study, arm: str, cohort: str, case: str) -> list[str]:
    """The images of a case that are the arm's channels."""
    names = [f"{channel}.nii.gz" for channel in study.arm(arm)["channels"]]
    return results_of_cases(study, "preprocessed", names, [study.case(cohort, case)])


def members(study: Study, arm: str, cohort: str, case: str) -> Named:
    """What an arm's seeds make of a case; raises `StudyError` for a budget, whose trainings saw different patients."""
    study.require_whole(arm)
    folders = [file_of(study, "segmented", f"{seed_member(seed)}/{cohort}", arm=arm) for seed in study.seeds]
    endings = {"masks": ".nii.gz", "probabilities": ".probability.nii.gz"}
    return {name: [f"{folder}/{case}{ending}" for folder in folders] for name, ending in endings.items()}


def scan(study: Study, cohort: str, case: str) -> list[str]:
    """The ingested NCCT and its record."""
    return results_of_cases(study, "ingested", ["ncct.nii.gz", "ncct.json"], [study.case(cohort, case)])


def masks(study: Study, arm: str, member: str, cases: Iterable[Case]) -> list[str]:
    """The masks of an arm's member (``seed-0``, ``ensemble``, ``original``) of some cases."""
    folder = file_of(study, "segmented", member, arm=arm)
    return [f"{folder}/{case.cohort}/{case.case}.nii.gz" for case in cases]


def masks_made(study: Study, arm: str, member: str, cases: Iterable[Case]) -> list[str]:
    """What later stages wait for: the masks, or the records of the batches that hold them where these are one job."""
    if not study.case_jobs:
        return masks(study, arm, member, cases)
    folder = file_of(study, "segmented", "batches", arm=arm)
    return list(dict.fromkeys(f"{folder}/{case.cohort}/{batch_number(study, case)}.json" for case in cases))


def batch_number(study: Study, case: Case) -> int:
    """Which batch of its cohort a case belongs to: equal parts, in the order of the case sheet."""
    return study.place(case) // study.config["segment"]["batch_size"]


def batch_cases(study: Study, cohort: str, batch: str | int) -> tuple[Case, ...]:
    """The cases of a batch, in the order of the case sheet; none where the cohort has no batch of this number."""
    size = study.config["segment"]["batch_size"]
    return study.of_cohort(cohort)[int(batch) * size : (int(batch) + 1) * size]
