"""What the rules of evaluate read: masks and scores of the arms."""

from workflow_scripts.common.vocabulary import ENSEMBLE, seed_member
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs import segment
from workflow_scripts.study.inputs.naming import Named, file_of, files_of_cases
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study


def score(study: Study, arm: str) -> Named:
    """Reference and predicted masks of the cases that are scored."""
    cases = study.labelled(study.config["run"]["evaluate"])
    return {
        "splits": file_of(study, "split", "splits.tsv"),
        "references": files_of_cases(study, "preprocessed", ["lesion.nii.gz"], cases),
        "seeds": [path for seed in study.seeds for path in segment.masks(study, arm, seed_member(seed), cases)],
        "ensembles": segment.masks(study, arm, ENSEMBLE, cases),
        "acquired": segment.masks(study, arm, "original", cases),
        "records": files_of_cases(study, "ingested", ["ncct.json"], cases),
        "drawn": files_of_cases(study, "ingested", ["lesion.nii.gz"], drawn_on_ncct(study)),
    }


def drawn_on_ncct(study: Study) -> list[Case]:
    """The cases that are scored and whose lesion was drawn on the NCCT."""
    return [case for case in study.labelled(study.config["run"]["evaluate"]) if case.lesion_space == "ncct"]


def score_test(study: Study, arm: str) -> Named:
    """What `score` reads, of an arm that may be scored on the test set; raises `StudyError` for another one."""
    if arm not in study.test_arms:
        named = ", ".join(study.test_arms) or "none"
        raise StudyError(
            f"{arm!r} is not scored on the test set: evaluate.test_arms names {named}. Choose arms on the "
            f"{study.config['evaluate']['selected_on']} set, and name an arm there before you look at its test scores."
        )
    return score(study, arm)


def all_scores(study: Study, grid: str = "") -> list[str]:
    """The scores of every arm, and the test scores of those that have any; ``grid`` is "" or "acquired_"."""
    names = [f"{arm}/{grid}scores.tsv" for arm in study.arms]
    names += [f"{arm}/{grid}test_scores.tsv" for arm in study.test_arms]
    return [file_of(study, "evaluated", name) for name in names]
