"""Arms that are trained on fewer labelled patients too."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_scripts.common.apportionment import split_totals
from workflow_scripts.common.vocabulary import SPLITS, TRAIN, budget_arm
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.schemas import StudyError


@dataclass(frozen=True)
class Budget:
    """An arm, trained on so many of its labelled training patients."""

    arm: str
    labels: int

    @property
    def name(self) -> str:
        """Its name where an arm's would stand, as in the paths of its files."""
        return budget_arm(self.arm, self.labels)


def budgets_of(arm: str, entry: Mapping[str, Any]) -> list[Budget]:
    """Return the budgets that an entry of `arms` asks for by ``labels``, the smallest first."""
    labels = entry.get("labels", [])
    return [Budget(arm, int(count)) for count in sorted(labels if isinstance(labels, list) else [labels])]


def most_labels(cases: Sequence[Case], ratios: Mapping[str, float]) -> int:
    """Return how many patients with a lesion mask the training set of some cohorts can have at most.

    It has exactly as many where every patient of the cohorts has a mask; else the split has the last word.
    """
    return sum(_of_cohort([case for case in cases if case.cohort == cohort], ratios) for cohort in _cohorts(cases))


def check_labels(
    arm: str, entry: Mapping[str, Any], most: int, arms: Collection[str], refuse: Callable[[list, str], StudyError]
) -> None:
    """Check the ``labels`` of an arm against `most_labels` and the names of ``arms``; raises what ``refuse`` makes."""
    for budget in budgets_of(arm, entry):
        given = entry["labels"]
        train = entry["train"]
        path = ["arms", arm, "labels", *([given.index(budget.labels)] if isinstance(given, list) else [])]
        if budget.labels > most:
            raise refuse(
                path,
                f"{budget.labels} is not allowed; patients with a lesion mask in the training set of {train!r}: "
                f"at most {most}; allowed: whole numbers from 1 to {most}.",
            )
        if budget.name in arms:
            raise refuse(path, f"its trainings would be called {budget.name}, as another arm is.")


def _cohorts(cases: Sequence[Case]) -> set[str]:
    return {case.cohort for case in cases}


def _of_cohort(cases: Sequence[Case], ratios: Mapping[str, float]) -> int:
    split_of = {case.patient: case.split for case in cases}
    split_of |= {case.patient: case.split for case in cases if case.split}
    labelled = {case.patient for case in cases if case.lesion}
    fixed = [sum(split == name for split in split_of.values()) for name in SPLITS]
    free = sum(not split for split in split_of.values())
    dealt = split_totals(fixed, free, [ratios[name] for name in SPLITS])[SPLITS.index(TRAIN)] if free else 0
    free_labelled = sum(not split_of[patient] for patient in labelled)
    return sum(split_of[patient] == TRAIN for patient in labelled) + min(dealt, free_labelled)
