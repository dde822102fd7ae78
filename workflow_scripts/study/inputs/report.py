"""What the rules of the report read: records, pages, masks."""

from collections.abc import Iterable

from workflow_scripts.common.vocabulary import ENSEMBLE
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs import segment
from workflow_scripts.study.inputs.naming import Named, file_of, files_of_cases
from workflow_scripts.study.study import Study


def acquisition_records(study: Study) -> list[str]:
    """How all scans were acquired."""
    return files_of_cases(study, "ingested", ["ncct.json"], study.cases)


def case_page(study: Study, cohort: str, case: str) -> Named:
    """The images and records of a case."""
    found = study.case(cohort, case)
    names = {
        "case_json": "case.json",
        **{name: f"{name}.nii.gz" for name in ("brain_mask", "ncct", "mirrored", "difference", "brain")},
    }
    inputs: Named = {key: file_of(study, "preprocessed", name, cohort=cohort, case=case) for key, name in names.items()}
    return inputs | {
        "ingest_json": file_of(study, "ingested", "ncct.json", cohort=cohort, case=case),
        "upright": file_of(study, "ingested", "ncct.nii.gz", cohort=cohort, case=case),
        "mri": files_of_cases(
            study, "preprocessed", [f"registered_{name}.nii.gz" for name in found.mri_modality], [found]
        ),
        "lesion": files_of_cases(study, "preprocessed", ["lesion.nii.gz"] if found.lesion else [], [found]),
    }


def cohort_page(study: Study, cohort: str) -> Named:
    """Quality and pages of a cohort's cases."""
    cases = study.in_cohorts([cohort])
    pages = [file_of(study, "report", f"cases/{case.cohort}/{case.case}") for case in cases]
    return {
        "case_json": files_of_cases(study, "preprocessed", ["case.json"], cases),
        "pages": [f"{page}.html" for page in pages],
        "thumbnails": [f"{page}.svg" for page in pages],
    }


def segmentation_page(study: Study, cohort: str, case: str) -> Named:
    """A case with its lesion and the masks of the best arms."""
    found = study.case(cohort, case)
    return {
        "ncct": file_of(study, "preprocessed", "ncct.nii.gz", cohort=cohort, case=case),
        "brain": file_of(study, "preprocessed", "brain.nii.gz", cohort=cohort, case=case),
        "lesion": files_of_cases(study, "preprocessed", ["lesion.nii.gz"] if found.lesion else [], [found]),
        "segmentations": _ensemble_masks(study, study.config["report"]["best_arms"], [found]),
        "splits": file_of(study, "split", "splits.tsv"),
    }


def examples(study: Study, cohort: str) -> Named:
    """The labelled cases of a cohort with the masks of the arms that are drawn, and their scores."""
    cases = study.labelled([cohort])
    arms = study.test_arms or study.config["report"]["best_arms"]
    return {
        "scores": file_of(study, "evaluated", "scores.tsv"),
        "images": files_of_cases(study, "preprocessed", ["ncct.nii.gz", "lesion.nii.gz"], cases),
        "segmentations": _ensemble_masks(study, arms, cases),
    }


def failures(study: Study, cohort: str) -> Named:
    """What `examples` needs, and the brain, whose middle parts the sides."""
    brains = files_of_cases(study, "preprocessed", ["brain.nii.gz"], study.labelled([cohort]))
    return examples(study, cohort) | {"brains": brains}


def neighbours(study: Study, pretraining: str) -> Named:
    """The nearest neighbours that a probe found, and the images of all its cases."""
    cases = study.image_set_cases(study.pretraining(pretraining)["image_set"])
    return {
        "neighbours": file_of(study, "pretraining", "neighbours.tsv", pretraining=pretraining),
        "images": files_of_cases(study, "preprocessed", ["ncct.nii.gz"], cases),
    }


def segmentation_pages(study: Study) -> list[str]:
    """The pages of all cases that are segmented."""
    cases = study.in_cohorts(study.config["run"]["segment"])
    return [file_of(study, "report", f"segmentations/{case.cohort}/{case.case}.html") for case in cases]


def cohort_pages(study: Study) -> list[str]:
    """The page of each cohort."""
    return [file_of(study, "report", f"cases/{cohort}.html") for cohort in study.cohorts]


def _ensemble_masks(study: Study, arms: Iterable[str], cases: Iterable[Case]) -> list[str]:
    return [path for arm in arms for path in segment.masks(study, arm, ENSEMBLE, cases)]
