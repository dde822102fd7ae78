"""What the rules of finetune read of an arm."""

from workflow_scripts.study.inputs import pretrain
from workflow_scripts.study.inputs.naming import Named, file_of, files_of_cases
from workflow_scripts.study.study import Study


def dataset(study: Study, arm: str) -> Named:
    """Images and lesions of the arm's cohorts, and plans and intensity statistics of a pretraining, if it uses one."""
    entry = study.arm(arm)
    names = [f"{name}.nii.gz" for name in (*entry["channels"], "lesion")]
    inputs: Named = {
        "splits": file_of(study, "split", "splits.tsv"),
        "images": files_of_cases(study, "preprocessed", names, study.labelled(entry["train"])),
    }
    if base := entry["pretraining"] or entry["statistics_from"]:
        folder = pretrain.pretraining_images(study, base)
        inputs |= {"base_fingerprint": f"{folder}/fingerprint.json", "base_plans": f"{folder}/plans.json"}
    return inputs


def encoder(study: Study, arm: str) -> Named:
    """The encoder that an arm starts from, if any."""
    pretraining = study.arm(arm)["pretraining"]
    return {"encoder": file_of(study, "pretraining", "encoder.pt", pretraining=pretraining)} if pretraining else {}
