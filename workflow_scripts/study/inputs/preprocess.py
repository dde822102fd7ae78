"""What the rules of preprocess read of a case, with the template and the weights that it needs."""

from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import Named, file_of, files_of_cases
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study


def given_template(study: Study) -> Named:
    """The CT template and its mask, if the user gives them."""
    given = study.config["preprocess"]["template"]
    return {name: given[name] for name in ("image", "mask") if given[name]}


def given_weights(study: Study, network: str) -> Named:
    """The weights that the user has, if the configuration names them."""
    path = study.config["preprocess"]["skull_stripping"][f"{network}_weights"]["path"]
    return {"given": path} if path else {}


def weights_of(study: Study, method: str) -> Named:
    """The weights of each network of a skull-stripping method, by the name of their option."""
    networks = [name for name in method.split("+") if name.startswith("synth")]
    return {f"{network}_weights": file_of(study, "weights", f"{network}.weights") for network in networks}


def to_strip(study: Study, cohort: str, case: str) -> Named:
    """The resampled NCCT with the brain mask that the case sheet gives, or the weights that stripping needs."""
    image = {"ncct": file_of(study, "preprocessed", "resampled_ncct.nii.gz", cohort=cohort, case=case)}
    if study.case(cohort, case).brain_mask:
        return image | {"given": file_of(study, "ingested", "brain.nii.gz", cohort=cohort, case=case)}
    return image | weights_of(study, study.config["preprocess"]["skull_stripping"]["ncct"])


def mri_stripping(study: Study, cohort: str, case: str, modality: str) -> str:
    """The method that strips an MRI; ``none`` if it is stripped already."""
    stripped = modality in study.case(cohort, case).stripped
    return "none" if stripped else study.config["preprocess"]["skull_stripping"]["mri"]


def mri_to_strip(study: Study, cohort: str, case: str, modality: str) -> Named:
    """The MRI, and the weights that its stripping needs."""
    method = mri_stripping(study, cohort, case, modality)
    image = file_of(study, "ingested", f"{modality}.nii.gz", cohort=cohort, case=case)
    return {"mri": image, **weights_of(study, method)}


def mri_to_register(study: Study, cohort: str, case: str) -> str:
    """The stripped MRI that is registered to the NCCT: the first one of the case sheet."""
    modality = case_with_mri(study, cohort, case).mri_modality[0]
    return file_of(study, "preprocessed", f"stripped_{modality}.nii.gz", cohort=cohort, case=case)


def case_with_mri(study: Study, cohort: str, case: str) -> Case:
    """The case; raises `StudyError` where it has no MRI."""
    found = study.case(cohort, case)
    if not found.mri:
        raise StudyError(f"Case {cohort}/{case} has no MRI in the case sheet.")
    return found


def to_mirror(study: Study, cohort: str, case: str) -> Named:
    """The stripped NCCT, its mask, and the template."""
    images = {
        "ncct": file_of(study, "preprocessed", "stripped_ncct.nii.gz", cohort=cohort, case=case),
        "brain": file_of(study, "preprocessed", "brain_mask.nii.gz", cohort=cohort, case=case),
    }
    return images | template(study)


def template(study: Study) -> Named:
    """The template and its mask, unless the mid-sagittal plane is found in the image itself."""
    if study.config["preprocess"]["contralateral"] == "midplane":
        return {}
    names = {"template": "template.nii.gz", "template_mask": "template_mask.nii.gz"}
    return {key: file_of(study, "template", name) for key, name in names.items()}


def lesion(study: Study, cohort: str, case: str) -> Named:
    """The lesion mask, the final NCCT, and the transform of a mask that is drawn on the MRI."""
    found = study.case(cohort, case)
    inputs = {
        "lesion": file_of(study, "ingested", "lesion.nii.gz", cohort=cohort, case=case),
        "ncct": file_of(study, "preprocessed", "ncct.nii.gz", cohort=cohort, case=case),
    }
    if found.lesion_space == "mri":
        inputs["affine"] = file_of(study, "preprocessed", "mri_to_ncct.txt", cohort=cohort, case=case)
    return inputs


def to_describe(study: Study, cohort: str, case: str) -> Named:
    """All images and records from which facts and quality of a case are computed."""
    found = study.case(cohort, case)
    names = {
        **{name: f"{name}.nii.gz" for name in ("ncct", "mirrored", "difference", "brain")},
        "to_template": "ncct_to_template.txt",
        "brain_json": "brain_mask.json",
        "contralateral_json": "contralateral.json",
    }
    if found.lesion:
        names["lesion"] = "lesion.nii.gz"
    if found.mri:
        names["registration_json"] = "mri_to_ncct.json"
        names["mri"] = f"registered_{found.mri_modality[0]}.nii.gz"
    records = [f"{modality}.json" for modality in found.mri_modality]
    inputs = {key: file_of(study, "preprocessed", name, cohort=cohort, case=case) for key, name in names.items()}
    return inputs | {
        "ingest_json": file_of(study, "ingested", "ncct.json", cohort=cohort, case=case),
        **({"mri_ingest_json": files_of_cases(study, "ingested", records, [found])} if records else {}),
    }
