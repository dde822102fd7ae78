"""What the rules of segment read, and the masks of an arm."""

from collections.abc import Iterable

from workflow_scripts.common.vocabulary import seed_member
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import Named, file_of, files_of_cases
from workflow_scripts.study.study import Study


def images_to_segment(study: Study, arm: str, cohort: str, case: str) -> list[str]:
    """The images of a case that are the arm's channels."""
    names = [f"{channel}.nii.gz" for channel in study.arm(arm)["channels"]]
    return files_of_cases(study, "preprocessed", names, [study.case(cohort, case)])


def members(study: Study, arm: str, cohort: str, case: str) -> Named:
    """What an arm's seeds make of a case; raises `StudyError` for a budget, whose trainings saw different patients."""
    study.require_whole(arm)
    folders = [file_of(study, "segmented", f"{seed_member(seed)}/{cohort}", arm=arm) for seed in study.seeds]
    endings = {"masks": ".nii.gz", "probabilities": ".probability.nii.gz"}
    return {name: [f"{folder}/{case}{ending}" for folder in folders] for name, ending in endings.items()}


def masks(study: Study, arm: str, member: str, cases: Iterable[Case]) -> list[str]:
    """The masks of an arm's member (``seed-0``, ``ensemble``, ``original``) of some cases."""
    folder = file_of(study, "segmented", member, arm=arm)
    return [f"{folder}/{case.cohort}/{case.case}.nii.gz" for case in cases]
