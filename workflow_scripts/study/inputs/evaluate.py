"""What the rules of evaluate read: masks and scores of the arms."""

from workflow_scripts.common.vocabulary import ENSEMBLE, TRAIN, seed_member
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs import segment
from workflow_scripts.study.inputs.naming import Named, file_of, results_of_cases
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study


def score(study: Study, arm: str) -> Named:
    """Reference and predicted masks of the cases that are scored."""
    cases = study.labelled(study.config["run"]["evaluate"])
    return {
        "splits": file_of(study, "split", "splits.tsv"),
        "references": results_of_cases(study, "preprocessed", ["lesion.nii.gz"], cases),
        "seeds": [path for seed in study.seeds for path in segment.masks_made(study, arm, seed_member(seed), cases)],
        "ensembles": segment.masks_made(study, arm, ENSEMBLE, cases),
        "acquired": segment.masks_made(study, arm, "original", cases),
        "records": results_of_cases(study, "ingested", ["ncct.json"], cases),
        "drawn": results_of_cases(study, "ingested", ["lesion.nii.gz"], drawn_on_ncct(study)),
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


def score_labels(study: Study, arm: str) -> Named:
    """Reference masks, and those that an arm predicts on fewer labels; raises `StudyError` where it has no budgets."""
    if arm not in study.label_arms:
        known = ", ".join(study.label_arms) or "none"
        raise StudyError(f"{arm!r} has no `labels`, numbers of patients that it is trained on; arms that do: {known}.")
    budgets = [budget for budget in study.budgets.values() if budget.arm == arm]
    return {
        "splits": file_of(study, "split", "splits.tsv"),
        "references": results_of_cases(study, "preprocessed", ["lesion.nii.gz"], held_out(study)),
        "masks": [path for budget in budgets for path in budget_masks(study, budget.name)],
    }


def held_out(study: Study) -> list[Case]:
    """The cases that may be scored on fewer labels: all that are scored but those that the sheet puts into training."""
    return [case for case in study.cases if is_held_out(study, case)]


def is_held_out(study: Study, case: Case) -> bool:
    """Whether a case is one of `held_out`."""
    return bool(case.lesion) and case.cohort in study.config["run"]["evaluate"] and case.split != TRAIN


def budget_masks(study: Study, arm: str) -> list[str]:
    """The masks of the trainings of a budget: one arm on one number of labels."""
    members = map(seed_member, study.label_draws)
    return [path for member in members for path in segment.masks_made(study, arm, member, held_out(study))]


def label_scores(study: Study) -> list[str]:
    """The scores of every arm that has budgets, on fewer labels."""
    return [file_of(study, "evaluated", f"{arm}/label_scores.tsv") for arm in study.label_arms]


def label_pairs(study: Study) -> list[tuple[str, str]]:
    """Compared pairs of arms to run of which the first has budgets: a curve to read the second's labels from."""
    pairs = [tuple(pair) for family in study.config["evaluate"]["comparisons"].values() for pair in family]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] in study.label_arms and pair[1] in study.arms]


def whole_arms(study: Study) -> list[str]:
    """Names of the arms whose trainings on all their patients are a point of the curves: with as many epochs."""
    if study.config["label_efficiency"]["epochs"]:
        return []
    wanted = {*study.label_arms, *(second for _, second in label_pairs(study))}
    return [arm for arm in study.arms if arm in wanted]


def label_efficiency(study: Study) -> Named:
    """Scores of the arms on fewer labels, and, where these compare, on all their patients, and who these are."""
    whole = whole_arms(study)
    names = [name for arm in whole for name in (f"{arm}/scores.tsv", f"{arm}/test_scores.tsv")]
    untested = {f"{arm}/test_scores.tsv" for arm in whole if arm not in study.test_arms}
    return {
        "label_scores": label_scores(study),
        "scores": [file_of(study, "evaluated", name) for name in names if name not in untested],
        "cases": [file_of(study, "arm", "nnunet/cases.tsv", arm=arm) for arm in whole],
        "splits": file_of(study, "split", "splits.tsv"),
    }


def all_scores(study: Study, grid: str = "") -> list[str]:
    """The scores of every arm, and the test scores of those that have any; ``grid`` is "" or "acquired_"."""
    names = [f"{arm}/{grid}scores.tsv" for arm in study.arms]
    names += [f"{arm}/{grid}test_scores.tsv" for arm in study.test_arms]
    return [file_of(study, "evaluated", name) for name in names]
