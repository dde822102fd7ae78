"""A batch of cases that an arm's models segment in one job: what the job needs, and what it makes."""

import json

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.study import arguments, inputs
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import file_of, results_of_cases
from workflow_scripts.study.study import Study
from workflow_scripts.study.whole_jobs import record as records

MASK, PROBABILITY = ".nii.gz", ".probability.nii.gz"


def cases(study: Study, arm: str, cohort: str, batch: str) -> list[Case]:
    """The cases of a batch that the arm, or a budget of it, segments, in the order of the sheet."""
    found = inputs.segment.batch_cases(study, cohort, batch)
    return [case for case in found if arm not in study.budgets or inputs.evaluate.is_held_out(study, case)]


def checkpoints(study: Study, arm: str) -> list[str]:
    """The models of an arm's trainings."""
    return [file_of(study, "training", "checkpoint.pth", arm=arm, seed=seed) for seed in _seeds(study, arm)]


def images(study: Study, arm: str, cohort: str, batch: str) -> list[str]:
    """The records of the cases of a batch, which stand for their images."""
    return results_of_cases(study, "preprocessed", [], cases(study, arm, cohort, batch))


def files(study: Study, arm: str, cohort: str, batch: str) -> list[str]:
    """What is made of the cases of a batch."""
    folders = {f"seed-{seed}": (MASK, PROBABILITY) for seed in _seeds(study, arm)}
    if arm not in study.budgets:
        folders |= {"ensemble": (MASK,), "original": (MASK, ".json")}
        folders |= dict.fromkeys(("upright", "agreement", "probability"), (MASK,))
    names = [f"{folder}/{cohort}/{{}}{ending}" for folder, endings in folders.items() for ending in endings]
    return [
        file_of(study, "segmented", name.format(case.case), arm=arm)
        for case in cases(study, arm, cohort, batch)
        for name in names
    ]


def settings_digest(study: Study, arm: str, cohort: str, batch: str) -> str:
    """Digest of which cases the batch holds, and of all settings that their steps read."""
    named = [case.case for case in cases(study, arm, cohort, batch)]
    content = [named, study.arm(arm)["channels"], _seeds(study, arm), arguments.segmentation(study)]
    return bytes_digest(json.dumps(content, sort_keys=True).encode())[:16]


def record(study: Study, arm: str, cohort: str, batch: str) -> str:
    """The record of a batch's files."""
    return file_of(study, "segmented", f"{records.BATCHES}/{cohort}/{batch}.json", arm=arm)


def record_of_case(study: Study, arm: str, cohort: str, case: str) -> str:
    """The record of the batch that a case belongs to."""
    return record(study, arm, cohort, str(inputs.segment.batch_number(study, study.case(cohort, case))))


def changed(study: Study, arm: str, cohort: str, batch: str) -> list[str]:
    """Files of a finished batch that are gone or newer than its record."""
    return records.changed(record(study, arm, cohort, batch), files(study, arm, cohort, batch))


def _seeds(study: Study, arm: str) -> list[int]:
    return study.label_draws if arm in study.budgets else list(study.seeds)
