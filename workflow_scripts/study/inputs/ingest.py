"""What the rules of ingest read: the files of the case sheet, and what a drawn mask follows."""

from workflow_scripts.study.inputs.naming import Named, file_of, tracked
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study


def ncct(study: Study, cohort: str, case: str) -> list[str]:
    """The scan."""
    return tracked(study.case(cohort, case).ncct)


def mri(study: Study, cohort: str, case: str, modality: str) -> list[str]:
    """The MRI of one modality."""
    return tracked(mri_path(study, cohort, case, modality))


def mri_path(study: Study, cohort: str, case: str, modality: str) -> str:
    """The path of an MRI as the case sheet has it."""
    found = study.case(cohort, case)
    images = dict(zip(found.mri_modality, found.mri, strict=True))
    if modality not in images:
        raise StudyError(f"Case {cohort}/{case} has no {modality} in the case sheet.")
    return images[modality]


def drawn_lesion(study: Study, cohort: str, case: str) -> Named:
    """The mask, and the image on whose grid it is drawn; a mask on the NCCT is untilted like the NCCT."""
    found = study.case(cohort, case)
    if not found.lesion:
        raise StudyError(f"Case {cohort}/{case} has no lesion mask in the case sheet.")
    image = f"{found.mri_modality[0]}.nii.gz" if found.lesion_space == "mri" else "ncct.nii.gz"
    reference = file_of(study, "ingested", image, cohort=cohort, case=case)
    if found.lesion_space == "mri":
        return {"lesion": tracked(found.lesion), "reference": reference}
    record = file_of(study, "ingested", "ncct.json", cohort=cohort, case=case)
    return {"lesion": tracked(found.lesion), "reference": reference, "record": record}


def drawn_brain(study: Study, cohort: str, case: str) -> Named:
    """The brain mask that the case sheet gives, and the ingested NCCT that it follows."""
    found = study.case(cohort, case)
    if not found.brain_mask:
        raise StudyError(f"Case {cohort}/{case} has no brain mask in the case sheet.")
    image, record = (
        file_of(study, "ingested", name, cohort=cohort, case=case) for name in ("ncct.nii.gz", "ncct.json")
    )
    return {"brain": tracked(found.brain_mask), "reference": image, "record": record}
