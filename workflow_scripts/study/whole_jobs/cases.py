"""A case whose steps are one job: what the job needs, what it makes, and what shows that it must run again."""

import json
from dataclasses import asdict
from pathlib import Path

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.study import inputs, paths
from workflow_scripts.study.inputs.naming import RECORD, tracked
from workflow_scripts.study.source_digest import source_digest
from workflow_scripts.study.study import Study
from workflow_scripts.study.whole_jobs import record as records

NO_STEP_READS = ("patient", "label_standard", "split", "exclude")  # columns of the case sheet


def scans(study: Study, cohort: str, case: str) -> list[str]:
    """The scan and the MRI of a case."""
    found = study.case(cohort, case)
    return [path for given in (found.ncct, *found.mri) for path in tracked(given)]


def given_masks(study: Study, cohort: str, case: str) -> list[str]:
    """The masks that come with a case."""
    found = study.case(cohort, case)
    return [path for given in (found.lesion, found.brain_mask) if given for path in tracked(given)]


def shared(study: Study, cohort: str, case: str) -> list[str]:
    """The template and the weights of networks that a case needs, which are made once for all cases."""
    found = study.case(cohort, case)
    methods = [inputs.preprocess.mri_stripping(study, cohort, case, modality) for modality in found.mri_modality]
    methods += [] if found.brain_mask else [study.config["preprocess"]["skull_stripping"]["ncct"]]
    weights = [path for method in methods for path in inputs.preprocess.weights_of(study, method).values()]
    return [*dict.fromkeys(weights), *inputs.preprocess.template(study).values()]


def case_folders(study: Study, cohort: str, case: str) -> list[str]:
    """The folders that hold the files of a case."""
    return [paths.file(study.results, name, cohort=cohort, case=case) for name in ("ingested", "preprocessed")]


def files(study: Study, cohort: str, case: str) -> list[str]:
    """What later stages read of a case; other files that its steps keep are `beside` them."""
    found = study.case(cohort, case)
    ingested, preprocessed = case_folders(study, cohort, case)
    names = ["ncct", "mirrored", "difference", "brain"]
    names += [*(f"registered_{modality}" for modality in found.mri_modality), *(["lesion"] if found.lesion else [])]
    drawn = [f"{ingested}/lesion.nii.gz"] if found.lesion else []
    images = [f"{preprocessed}/{name}.nii.gz" for name in names]
    return [f"{ingested}/ncct.nii.gz", f"{ingested}/ncct.json", *drawn, *images, f"{preprocessed}/case.json"]


def beside(study: Study, cohort: str, case: str) -> dict[str, str]:
    """What the steps of a case make and keep beside `files`, and which step makes it.

    No targets of the job: Snakemake would keep all else that their steps make, intermediates too.
    """
    found = study.case(cohort, case)
    ingested, preprocessed = case_folders(study, cohort, case)
    made = {
        "brain_mask": [f"{preprocessed}/brain_mask.nii.gz", f"{preprocessed}/brain_mask.json"],
        "contralateral": [f"{preprocessed}/contralateral.json", f"{preprocessed}/ncct_to_template.txt"],
        "finalise": [f"{preprocessed}/crop.json"],
        "ingest_brain": [f"{ingested}/brain.nii.gz"] if found.brain_mask else [],
        "ingest_mri": [f"{ingested}/{modality}.{end}" for modality in found.mri_modality for end in ("nii.gz", "json")],
    }
    if found.mri:
        made["register_mri"] = [f"{preprocessed}/mri_to_ncct.txt", f"{preprocessed}/mri_to_ncct.json"]
    return {file: step for step, files in made.items() for file in files}


def steps_of_missing(study: Study, cohort: str, case: str) -> list[str]:
    """The steps that made files which are gone and no target of the job."""
    made = beside(study, cohort, case)
    return sorted({step for file, step in made.items() if not Path(file).exists()})


def settings_digest(study: Study, cohort: str, case: str) -> str:
    """Digest of all settings, columns and scans that any step of the case reads."""
    found = study.case(cohort, case)
    columns = {key: value for key, value in asdict(found).items() if key not in NO_STEP_READS}
    sections = {name: study.config[name] for name in ("keep", "seed", "ingest", "preprocess")}
    sources = [source_digest(path) for path in (found.ncct, *found.mri)]
    return bytes_digest(json.dumps([columns, sections, sources], sort_keys=True).encode())[:16]


def record(study: Study, cohort: str, case: str) -> str:
    """The record of a case's files."""
    return paths.file(study.results, "preprocessed", RECORD, cohort=cohort, case=case)


def changed(study: Study, cohort: str, case: str) -> list[str]:
    """Files of a finished case that are gone or newer than its record; also those that no later stage reads."""
    others = (str(path) for folder in case_folders(study, cohort, case) for path in Path(folder).glob("*"))
    made = [*files(study, cohort, case), *beside(study, cohort, case)]
    return records.changed(record(study, cohort, case), made, others)
