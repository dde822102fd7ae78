"""What the rules of exported models read: an arm on its way out, and new patients that a model segments."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.study import paths
from workflow_scripts.study.arguments import segmentation
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.options import options
from workflow_scripts.study.study import Study
from workflow_scripts.study.targets import score_files


def to_export(study: Study, arm: str) -> dict[str, Any]:
    """An arm's networks, the template of its images, the scans it was trained on, and its scores."""
    entry, results = study.arm(arm), study.results
    cases = study.labelled(entry["train"])
    final = [f"{name}.nii.gz" for name in dict.fromkeys([*entry["channels"], "ncct", "brain"])]
    inputs: dict[str, Any] = {
        "checkpoints": [paths.file(results, "training", "checkpoint.pth", arm=arm, seed=s) for s in study.seeds],
        "splits": paths.file(results, "split", "splits.tsv"),
        "images": [
            paths.file(results, folder, name, cohort=case.cohort, case=case.case)
            for case in cases
            for folder, names in (("preprocessed", final), ("ingested", ["ncct.nii.gz"]))
            for name in names
        ],
    }
    if study.config["preprocess"]["contralateral"] == "template":
        inputs["template"] = paths.file(results, "template", "template.nii.gz")
        inputs["template_mask"] = paths.file(results, "template", "template_mask.nii.gz")
    return inputs | {"scores": score_files(study, arm)}


def export_options(study: Study, arm: str) -> list[str]:
    """The template and the scores, as far as there are any."""
    inputs = to_export(study, arm)
    return options({key.replace("_", "-"): inputs.get(key) for key in ("template", "template_mask", "scores")})


def export_settings(study: Study, arm: str) -> str:
    """Everything that decides what a model makes of a scan, as JSON; no path of this machine."""
    preprocess = deepcopy(dict(study.config["preprocess"]))
    del preprocess["keep_heads"]  # says what a study keeps, not how its images are made
    preprocess["template"] |= {"image": None, "mask": None}
    for network in ("synthstrip_weights", "synthsr_weights"):
        preprocess["skull_stripping"][network]["path"] = None
    shared = {name: study.config[name] for name in ("seed", "notice")}
    # A new patient has no lesion to read, and may be of no cohort of the study.
    shared["ingest"] = {name: value for name, value in study.config["ingest"].items() if name != "lesion_labels"}
    shared["segment"] = segmentation(study)
    return json.dumps(
        {
            "arm": arm,
            "seeds": study.seeds,
            "pretraining": study.arm(arm)["pretraining"],
            "licence": study.config["export"]["licence"],
            "preprocess": preprocess,
            **shared,
        },
        sort_keys=True,
    )


def wanted(study: Study) -> list[Case]:
    """The new patients: of the case sheet, those that `patients` names, or all."""
    names = study.config.get("patients")
    return [case for case in study.cases if names is None or f"{case.cohort}/{case.case}" in names]


def batches(study: Study) -> list[list[Case]]:
    """The new patients in the parts that one load of the model segments."""
    size, cases = study.config["segment"]["batch_size"], wanted(study)
    return [cases[first : first + size] for first in range(0, len(cases), size)]


def final_images(study: Study, cohort: str, case: str) -> list[str]:
    """What a model segments of a new patient, with what is known of it."""
    names = ("ncct.nii.gz", "difference.nii.gz", "brain.nii.gz", "case.json", "ncct_to_template.txt")
    return [paths.file(study.results, "preprocessed", name, cohort=cohort, case=case) for name in names]


def of_batch(study: Study, batch: str) -> dict[str, Any]:
    """The model, and the images of a batch."""
    cases = batches(study)[int(batch)]
    return {
        "model": f"{study.config['model']}/model.json",
        "images": [file for case in cases for file in final_images(study, case.cohort, case.case)],
    }


def names_of_batch(study: Study, batch: str) -> list[str]:
    """The patients of a batch, cohort/case."""
    return [f"{case.cohort}/{case.case}" for case in batches(study)[int(batch)]]


def to_apply(study: Study, cohort: str, case: str) -> dict[str, Any]:
    """The model, and a case's images with what is known of them."""
    where = {"cohort": cohort, "case": case}
    return {
        "model": f"{study.config['model']}/model.json",
        "images": final_images(study, cohort, case),
        "scan": paths.file(study.results, "ingested", "ncct.nii.gz", **where),
        "record": paths.file(study.results, "ingested", "ncct.json", **where),
    }


def networks(study: Study, cohort: str, case: str) -> str:
    """What the networks say of the batch of a case."""
    place = (study.case(cohort, case) in cases for cases in batches(study))
    return paths.file(study.results, "batch", "networks.json", batch=list(place).index(True))


def dicom_series(study: Study, cohort: str, case: str) -> list[str]:
    """The series of a new patient, and the model, as the scripts want them that write DICOM objects on it."""
    manifest = json.loads(Path(study.config["model"], "model.json").read_text(encoding="utf-8"))
    scan, ingest = study.case(cohort, case), study.config["ingest"]
    limits = {key.replace("_", "-"): ingest[key] for key in ("min_slices", "max_missing_slices", "min_coverage_mm")}
    model = {"algorithm": manifest["arm"], "algorithm-version": manifest["code"]}
    return options({"input": scan.ncct, "series": scan.ncct_series, **model, **limits})


def patient_files(study: Study, cohort: str, case: str) -> list[str]:
    """What a new patient gets: the page, which needs the rest, and DICOM objects where the scan is DICOM."""
    names = ["report.html"]
    if is_dicom(Path(study.case(cohort, case).ncct)):
        names += ["lesion.dcm", *(["report.dcm"] if study.config.get("dicom_report") else [])]
    return [paths.file(study.results, "patient", name, cohort=cohort, case=case) for name in names]


def is_dicom(scan: Path) -> bool:
    """Whether a scan of the case sheet is a DICOM folder, as far as can be told without reading it."""
    try:
        return locate(scan, "NCCT", "ncct").is_dir()
    except InputError:  # its conversion fails with this message
        return False


def new_patients(study: Study) -> list[str]:
    """The files of all new patients that are wanted."""
    return [file for case in wanted(study) for file in patient_files(study, case.cohort, case.case)]
