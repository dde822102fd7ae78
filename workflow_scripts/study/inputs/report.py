"""What the rules of the report read: records, pages, masks."""

from collections.abc import Iterable

from workflow_scripts.common.vocabulary import ENSEMBLE
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs import segment
from workflow_scripts.study.inputs.naming import Named, file_of, results_of_cases
from workflow_scripts.study.study import Study


def acquisition_records(study: Study) -> list[str]:
    """How all scans were acquired."""
    return results_of_cases(study, "ingested", ["ncct.json"], study.cases)


def case_page(study: Study, cohort: str, case: str) -> list[str]:
    """What a case's page shows, or the record of all files of the case."""
    found = study.case(cohort, case)
    return results_of_cases(study, "ingested", ["ncct.json", "ncct.nii.gz"], [found]) + results_of_cases(
        study, "preprocessed", ["case.json", "brain_mask.nii.gz", *_case_page_images(found)], [found]
    )


def _case_page_images(found: Case) -> list[str]:
    """The final images that a case's page shows."""
    names = ["ncct", "mirrored", "difference", "brain", *(f"registered_{modality}" for modality in found.mri_modality)]
    return [f"{name}.nii.gz" for name in (*names, *(["lesion"] if found.lesion else []))]


def cohort_page(study: Study, cohort: str) -> Named:
    """Quality and pages of a cohort's cases."""
    cases = study.of_cohort(cohort)
    pages = [file_of(study, "report", f"cases/{case.cohort}/{case.case}") for case in cases]
    return {
        "case_json": results_of_cases(study, "preprocessed", ["case.json"], cases),
        "pages": [f"{page}.html" for page in pages],
        "thumbnails": [f"{page}.svg" for page in pages],
    }


def segmentation_page(study: Study, cohort: str, case: str) -> Named:
    """A case with its lesion and the masks of the best arms."""
    found = study.case(cohort, case)
    names = ["ncct.nii.gz", "brain.nii.gz", *(["lesion.nii.gz"] if found.lesion else [])]
    return {
        "images": results_of_cases(study, "preprocessed", names, [found]),
        "segmentations": _ensemble_masks(study, study.config["report"]["best_arms"], [found]),
        "splits": file_of(study, "split", "splits.tsv"),
    }


def examples(study: Study, cohort: str) -> Named:
    """The labelled cases of a cohort with the masks of the arms that are drawn, and their scores."""
    cases = study.labelled([cohort])
    arms = study.test_arms or study.config["report"]["best_arms"]
    return {
        "scores": file_of(study, "evaluated", "scores.tsv"),
        "images": results_of_cases(study, "preprocessed", ["ncct.nii.gz", "lesion.nii.gz"], cases),
        "segmentations": _ensemble_masks(study, arms, cases),
    }


def failures(study: Study, cohort: str) -> Named:
    """What `examples` needs, and the brain, whose middle parts the sides."""
    brains = results_of_cases(study, "preprocessed", ["brain.nii.gz"], study.labelled([cohort]))
    return examples(study, cohort) | {"brains": brains}


def neighbours(study: Study, pretraining: str) -> Named:
    """The nearest neighbours that a probe found, and the images of all its cases."""
    cases = study.image_set_cases(study.pretraining(pretraining)["image_set"])
    return {
        "neighbours": file_of(study, "pretraining", "neighbours.tsv", pretraining=pretraining),
        "images": results_of_cases(study, "preprocessed", ["ncct.nii.gz"], cases),
    }


def segmentation_pages(study: Study) -> list[str]:
    """The pages of all cases that are segmented."""
    cases = study.in_cohorts(study.config["run"]["segment"])
    return [file_of(study, "report", f"segmentations/{case.cohort}/{case.case}.html") for case in cases]


def cohort_pages(study: Study) -> list[str]:
    """The page of each cohort."""
    return [file_of(study, "report", f"cases/{cohort}.html") for cohort in study.cohorts]


def _ensemble_masks(study: Study, arms: Iterable[str], cases: Iterable[Case]) -> list[str]:
    return [path for arm in arms for path in segment.masks_made(study, arm, ENSEMBLE, cases)]
