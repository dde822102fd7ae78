"""What each rule reads: functions of the study and of the values of a rule's wildcards, stage by stage.

Each returns paths as text: one, a list, or a mapping by name. It raises `StudyError` when the study does not have
what is asked for.
"""

from collections.abc import Iterable
from typing import Any

from workflow_scripts.common.vocabulary import ENSEMBLE, seed_member
from workflow_scripts.study import paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study

Named = dict[str, Any]


def _file(study: Study, folder: str, name: str = "", **wildcards: object) -> str:
    return paths.file(study.results, folder, name, **wildcards)


def _tracked(path: str) -> list[str]:
    """Return a user's path for Snakemake to watch; not where it has braces, which would be taken for wildcards.

    The command line gets it as a param (`given` in rules/ingest.smk), and a digest of the files beside it.
    """
    return [] if "{" in path or "}" in path else [path]


def _of_cases(study: Study, folder: str, names: Iterable[str], cases: Iterable[Case]) -> list[str]:
    """Return the files ``names`` of each case, name by name."""
    cases = list(cases)
    return [_file(study, folder, name, cohort=case.cohort, case=case.case) for name in names for case in cases]


# Ingest


def ncct(study: Study, cohort: str, case: str) -> list[str]:
    """The scan."""
    return _tracked(study.case(cohort, case).ncct)


def mri(study: Study, cohort: str, case: str, modality: str) -> list[str]:
    """The MRI of one modality."""
    return _tracked(mri_path(study, cohort, case, modality))


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
    reference = _file(study, "ingested", image, cohort=cohort, case=case)
    if found.lesion_space == "mri":
        return {"lesion": _tracked(found.lesion), "reference": reference}
    record = _file(study, "ingested", "ncct.json", cohort=cohort, case=case)
    return {"lesion": _tracked(found.lesion), "reference": reference, "record": record}


def drawn_brain(study: Study, cohort: str, case: str) -> Named:
    """The brain mask that the case sheet gives, and the ingested NCCT that it follows."""
    found = study.case(cohort, case)
    if not found.brain_mask:
        raise StudyError(f"Case {cohort}/{case} has no brain mask in the case sheet.")
    image, record = (_file(study, "ingested", name, cohort=cohort, case=case) for name in ("ncct.nii.gz", "ncct.json"))
    return {"brain": _tracked(found.brain_mask), "reference": image, "record": record}


# Preprocess


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
    return {f"{network}_weights": _file(study, "weights", f"{network}.weights") for network in networks}


def to_strip(study: Study, cohort: str, case: str) -> Named:
    """The resampled NCCT with the brain mask that the case sheet gives, or the weights that stripping needs."""
    image = {"ncct": _file(study, "preprocessed", "resampled_ncct.nii.gz", cohort=cohort, case=case)}
    if study.case(cohort, case).brain_mask:
        return image | {"given": _file(study, "ingested", "brain.nii.gz", cohort=cohort, case=case)}
    return image | weights_of(study, study.config["preprocess"]["skull_stripping"]["ncct"])


def mri_stripping(study: Study, cohort: str, case: str, modality: str) -> str:
    """The method that strips an MRI; ``none`` if it is stripped already."""
    stripped = modality in study.case(cohort, case).stripped
    return "none" if stripped else study.config["preprocess"]["skull_stripping"]["mri"]


def mri_to_strip(study: Study, cohort: str, case: str, modality: str) -> Named:
    """The MRI, and the weights that its stripping needs."""
    method = mri_stripping(study, cohort, case, modality)
    image = _file(study, "ingested", f"{modality}.nii.gz", cohort=cohort, case=case)
    return {"mri": image, **weights_of(study, method)}


def mri_to_register(study: Study, cohort: str, case: str) -> str:
    """The stripped MRI that is registered to the NCCT: the first one of the case sheet."""
    modality = case_with_mri(study, cohort, case).mri_modality[0]
    return _file(study, "preprocessed", f"stripped_{modality}.nii.gz", cohort=cohort, case=case)


def case_with_mri(study: Study, cohort: str, case: str) -> Case:
    """The case; raises `StudyError` where it has no MRI."""
    found = study.case(cohort, case)
    if not found.mri:
        raise StudyError(f"Case {cohort}/{case} has no MRI in the case sheet.")
    return found


def to_mirror(study: Study, cohort: str, case: str) -> Named:
    """The stripped NCCT, its mask, and the template unless the mid-sagittal plane is found in the image itself."""
    images = {
        "ncct": _file(study, "preprocessed", "stripped_ncct.nii.gz", cohort=cohort, case=case),
        "brain": _file(study, "preprocessed", "brain_mask.nii.gz", cohort=cohort, case=case),
    }
    if study.config["preprocess"]["contralateral"] == "midplane":
        return images
    template = {"template": "template.nii.gz", "template_mask": "template_mask.nii.gz"}
    return images | {key: _file(study, "template", name) for key, name in template.items()}


def lesion(study: Study, cohort: str, case: str) -> Named:
    """The lesion mask, the final NCCT, and the transform of a mask that is drawn on the MRI."""
    found = study.case(cohort, case)
    inputs = {
        "lesion": _file(study, "ingested", "lesion.nii.gz", cohort=cohort, case=case),
        "ncct": _file(study, "preprocessed", "ncct.nii.gz", cohort=cohort, case=case),
    }
    if found.lesion_space == "mri":
        inputs["affine"] = _file(study, "preprocessed", "mri_to_ncct.txt", cohort=cohort, case=case)
    return inputs


def to_describe(study: Study, cohort: str, case: str) -> Named:
    """All images and records from which facts and quality of a case are computed."""
    found = study.case(cohort, case)
    names = {
        "head": "resampled_ncct.nii.gz",
        "brain_mask": "brain_mask.nii.gz",
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
    inputs = {key: _file(study, "preprocessed", name, cohort=cohort, case=case) for key, name in names.items()}
    return inputs | {
        "ingest_json": _file(study, "ingested", "ncct.json", cohort=cohort, case=case),
        **({"mri_ingest_json": _of_cases(study, "ingested", records, [found])} if records else {}),
    }


# Pretrain


def images_of_set(study: Study, images: str) -> list[str]:
    """The final images of an image set, with the mirrored images and brain masks that views and augmentation need."""
    names = (*study.image_set_channels(images), "mirrored", "brain")
    cases = study.image_set_cases(study.image_set(images))
    return _of_cases(study, "preprocessed", [f"{name}.nii.gz" for name in names], cases)


def pretraining_images(study: Study, pretraining: str) -> str:
    """Folder of the arrays that a pretraining reads."""
    study.pretraining(pretraining)
    return _file(study, "image_set", images=study.images(pretraining))


def pretrain(study: Study, pretraining: str) -> Named:
    """Settings and the description of the arrays."""
    folder = pretraining_images(study, pretraining)
    files = {"plans": "plans.json", "fingerprint": "fingerprint.json", "cases": "cases.tsv"}
    settings = _file(study, "pretraining", "settings.yaml", pretraining=pretraining)
    return {"settings": settings, **{key: f"{folder}/{name}" for key, name in files.items()}}


def audit(study: Study, pretraining: str) -> Named:
    """The encoder, what it was trained on, and the splits."""
    return {
        "encoder": _file(study, "pretraining", "encoder.pt", pretraining=pretraining),
        "fingerprint": f"{pretraining_images(study, pretraining)}/fingerprint.json",
        "splits": _file(study, "split", "splits.tsv"),
    }


def probe(study: Study, pretraining: str) -> Named:
    """The encoder and its arrays, the patients, and the files that hold the attributes."""
    table = study.config["probe"]["table"]
    cases = study.image_set_cases(study.pretraining(pretraining)["image_set"])
    return {
        **interpretation(study, pretraining),
        "splits": _file(study, "split", "splits.tsv"),
        "case_json": _of_cases(study, "preprocessed", ["case.json"], cases),
        "table": [table] if table else [],
    }


def interpretation(study: Study, pretraining: str) -> Named:
    """The encoder and the arrays that it is applied to."""
    folder = pretraining_images(study, pretraining)
    return {
        "encoder": _file(study, "pretraining", "encoder.pt", pretraining=pretraining),
        "cases": f"{folder}/cases.tsv",
        "arrays": f"{folder}/arrays",
    }


# Finetune


def finetune_dataset(study: Study, arm: str) -> Named:
    """Images and lesions of the arm's cohorts, and plans and intensity statistics of a pretraining, if it uses one."""
    entry = study.arm(arm)
    names = [f"{name}.nii.gz" for name in (*entry["channels"], "lesion")]
    inputs: Named = {
        "splits": _file(study, "split", "splits.tsv"),
        "images": _of_cases(study, "preprocessed", names, study.labelled(entry["train"])),
    }
    if base := entry["pretraining"] or entry["statistics_from"]:
        folder = pretraining_images(study, base)
        inputs |= {"base_fingerprint": f"{folder}/fingerprint.json", "base_plans": f"{folder}/plans.json"}
    return inputs


def encoder(study: Study, arm: str) -> Named:
    """The encoder that an arm starts from, if any."""
    pretraining = study.arm(arm)["pretraining"]
    return {"encoder": _file(study, "pretraining", "encoder.pt", pretraining=pretraining)} if pretraining else {}


# Segment and evaluate


def images_to_segment(study: Study, arm: str, cohort: str) -> list[str]:
    """The images of the arm's channels, of all cases of a cohort."""
    names = [f"{channel}.nii.gz" for channel in study.arm(arm)["channels"]]
    return _of_cases(study, "preprocessed", names, study.in_cohorts([cohort]))


def masks(study: Study, arm: str, member: str, cases: Iterable[Case]) -> list[str]:
    """The masks of an arm's member (``ensemble``, ``original``) of some cases."""
    folder = _file(study, "segmented", member, arm=arm)
    return [f"{folder}/{case.cohort}/{case.case}.nii.gz" for case in cases]


def score(study: Study, arm: str) -> Named:
    """Reference and predicted masks of the cases that are scored; those of the seeds are folders of a cohort."""
    cohorts = study.config["run"]["evaluate"]
    cases = study.labelled(cohorts)
    folder = _file(study, "segmented", arm=arm)
    return {
        "splits": _file(study, "split", "splits.tsv"),
        "references": _of_cases(study, "preprocessed", ["lesion.nii.gz"], cases),
        "seeds": [f"{folder}/{seed_member(seed)}/{cohort}" for seed in study.seeds for cohort in cohorts],
        "ensembles": masks(study, arm, ENSEMBLE, cases),
        "acquired": masks(study, arm, "original", cases),
        "records": _of_cases(study, "ingested", ["ncct.json"], cases),
        "drawn": _of_cases(study, "ingested", ["lesion.nii.gz"], drawn_on_ncct(study)),
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
    return [_file(study, "evaluated", name) for name in names]


# Report


def case_records(study: Study) -> list[str]:
    """Facts and quality of all cases."""
    return _of_cases(study, "preprocessed", ["case.json"], study.cases)


def acquisition_records(study: Study) -> list[str]:
    """How all scans were acquired."""
    return _of_cases(study, "ingested", ["ncct.json"], study.cases)


def case_page(study: Study, cohort: str, case: str) -> Named:
    """The images and records of a case."""
    found = study.case(cohort, case)
    names = {
        "case_json": "case.json",
        "unstripped": "resampled_ncct.nii.gz",
        **{name: f"{name}.nii.gz" for name in ("brain_mask", "ncct", "mirrored", "difference", "brain")},
    }
    inputs: Named = {key: _file(study, "preprocessed", name, cohort=cohort, case=case) for key, name in names.items()}
    return inputs | {
        "ingest_json": _file(study, "ingested", "ncct.json", cohort=cohort, case=case),
        "upright": _file(study, "ingested", "ncct.nii.gz", cohort=cohort, case=case),
        "mri": _of_cases(study, "preprocessed", [f"registered_{name}.nii.gz" for name in found.mri_modality], [found]),
        "lesion": _of_cases(study, "preprocessed", ["lesion.nii.gz"] if found.lesion else [], [found]),
    }


def cohort_page(study: Study, cohort: str) -> Named:
    """Quality and pages of a cohort's cases."""
    cases = study.in_cohorts([cohort])
    pages = [_file(study, "report", f"cases/{case.cohort}/{case.case}") for case in cases]
    return {
        "case_json": _of_cases(study, "preprocessed", ["case.json"], cases),
        "pages": [f"{page}.html" for page in pages],
        "thumbnails": [f"{page}.svg" for page in pages],
    }


def segmentation_page(study: Study, cohort: str, case: str) -> Named:
    """A case with its lesion and the masks of the best arms."""
    found = study.case(cohort, case)
    return {
        "ncct": _file(study, "preprocessed", "ncct.nii.gz", cohort=cohort, case=case),
        "brain": _file(study, "preprocessed", "brain.nii.gz", cohort=cohort, case=case),
        "lesion": _of_cases(study, "preprocessed", ["lesion.nii.gz"] if found.lesion else [], [found]),
        "segmentations": _ensemble_masks(study, study.config["report"]["best_arms"], [found]),
        "splits": _file(study, "split", "splits.tsv"),
    }


def examples(study: Study, cohort: str) -> Named:
    """The labelled cases of a cohort with the masks of the arms that are drawn, and their scores."""
    cases = study.labelled([cohort])
    arms = study.test_arms or study.config["report"]["best_arms"]
    return {
        "scores": _file(study, "evaluated", "scores.tsv"),
        "images": _of_cases(study, "preprocessed", ["ncct.nii.gz", "lesion.nii.gz"], cases),
        "segmentations": _ensemble_masks(study, arms, cases),
    }


def failures(study: Study, cohort: str) -> Named:
    """What `examples` needs, and the brain, whose middle parts the sides."""
    brains = _of_cases(study, "preprocessed", ["brain.nii.gz"], study.labelled([cohort]))
    return examples(study, cohort) | {"brains": brains}


def neighbours(study: Study, pretraining: str) -> Named:
    """The nearest neighbours that a probe found, and the images of all its cases."""
    cases = study.image_set_cases(study.pretraining(pretraining)["image_set"])
    return {
        "neighbours": _file(study, "pretraining", "neighbours.tsv", pretraining=pretraining),
        "images": _of_cases(study, "preprocessed", ["ncct.nii.gz"], cases),
    }


def segmentation_pages(study: Study) -> list[str]:
    """The pages of all cases that are segmented."""
    cases = study.in_cohorts(study.config["run"]["segment"])
    return [_file(study, "report", f"segmentations/{case.cohort}/{case.case}.html") for case in cases]


def cohort_pages(study: Study) -> list[str]:
    """The page of each cohort."""
    return [_file(study, "report", f"cases/{cohort}.html") for cohort in study.cohorts]


def _ensemble_masks(study: Study, arms: Iterable[str], cases: Iterable[Case]) -> list[str]:
    return [path for arm in arms for path in masks(study, arm, ENSEMBLE, cases)]
