"""What the rules of segment read, and the masks of an arm."""

from collections.abc import Iterable

from workflow_scripts.common.vocabulary import seed_member
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import file_of, files_of_cases
from workflow_scripts.study.study import Study


def images_to_segment(study: Study, arm: str, cohort: str) -> list[str]:
    """The images of the arm's channels, of all cases of a cohort."""
    names = [f"{channel}.nii.gz" for channel in study.arm(arm)["channels"]]
    return files_of_cases(study, "preprocessed", names, study.in_cohorts([cohort]))


def members(study: Study, arm: str, cohort: str) -> list[str]:
    """The masks of an arm's seeds; raises `StudyError` for a budget, whose trainings saw different patients."""
    study.require_whole(arm)
    return [file_of(study, "segmented", f"{seed_member(seed)}/{cohort}", arm=arm) for seed in study.seeds]


def masks(study: Study, arm: str, member: str, cases: Iterable[Case]) -> list[str]:
    """The masks of an arm's member (``ensemble``, ``original``) of some cases."""
    folder = file_of(study, "segmented", member, arm=arm)
    return [f"{folder}/{case.cohort}/{case.case}.nii.gz" for case in cases]
