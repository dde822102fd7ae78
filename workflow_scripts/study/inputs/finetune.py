"""What the rules of finetune read of an arm."""

from workflow_scripts.study.inputs import pretrain
from workflow_scripts.study.inputs.naming import Named, file_of, results_of_cases
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study


def dataset(study: Study, arm: str) -> Named:
    """Images and lesions of the arm's cohorts, and plans and intensity statistics of a pretraining, if it uses one."""
    study.require_whole(arm)
    entry = study.arm(arm)
    names = [f"{name}.nii.gz" for name in (*entry["channels"], "lesion")]
    inputs: Named = {
        "splits": file_of(study, "split", "splits.tsv"),
        "images": results_of_cases(study, "preprocessed", names, study.labelled(entry["train"])),
    }
    if base := entry["pretraining"] or entry["statistics_from"]:
        folder = pretrain.pretraining_images(study, base)
        inputs |= {"base_fingerprint": f"{folder}/fingerprint.json", "base_plans": f"{folder}/plans.json"}
    return inputs


def subset(study: Study, arm: str) -> Named:
    """The cases of the dataset of a budget's arm, and the strata; raises `StudyError` for anything but a budget."""
    if arm not in study.budgets:
        known = ", ".join(study.budgets) or "none"
        raise StudyError(f"{arm!r} is no arm on fewer labels; known: {known}.")
    dataset = file_of(study, "arm", "nnunet", arm=study.budgets[arm].arm)
    return {"splits": file_of(study, "split", "splits.tsv"), "cases": f"{dataset}/cases.tsv"}


def training(study: Study, arm: str, seed: str) -> Named:
    """The dataset of an arm, and the encoder that it starts from, if any; a budget has its arm's, and its own cases."""
    budget = study.budgets.get(arm)
    dataset = file_of(study, "arm", "nnunet", arm=budget.arm if budget else arm)
    cases = file_of(study, "training", "cases.tsv", arm=arm, seed=seed) if budget else f"{dataset}/cases.tsv"
    files = {name: f"{name}.json" for name in ("plans", "dataset", "fingerprint")} | {"arrays": "arrays"}
    inputs = {"cases": cases} | {key: f"{dataset}/{name}" for key, name in files.items()}
    if pretraining := study.arm(arm)["pretraining"]:
        inputs["encoder"] = file_of(study, "pretraining", "encoder.pt", pretraining=pretraining)
    return inputs
