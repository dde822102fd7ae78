# What the rules read and pass on, case by case, arm by arm: the functions of the stages, in their order.
import json

from workflow_scripts.study.options import options


def _mri_path(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    paths = dict(zip(case.mri_modality, case.mri))
    if wildcards.modality not in paths:
        raise WorkflowError(f"Case {case.cohort}/{case.case} has no {wildcards.modality} in the case sheet.")
    return paths[wildcards.modality]


def _lesion_inputs(wildcards):
    """The mask, and the image whose grid it is drawn on; a mask on the NCCT follows its untilting."""
    case = STUDY.case(wildcards.cohort, wildcards.case)
    if not case.lesion:
        raise WorkflowError(f"Case {case.cohort}/{case.case} has no lesion mask in the case sheet.")
    folder = f"{OUT}/ingest/{case.cohort}/{case.case}"
    if case.lesion_space == "mri":
        return {"lesion": case.lesion, "reference": f"{folder}/{case.mri_modality[0]}.nii.gz"}
    return {"lesion": case.lesion, "reference": f"{folder}/ncct.nii.gz", "record": f"{folder}/ncct.json"}


def _case_with_mri(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    if not case.mri:
        raise WorkflowError(f"Case {case.cohort}/{case.case} has no MRI in the case sheet.")
    return case


def _stripped_flag(wildcards):
    return "--stripped" if "ncct" in STUDY.case(wildcards.cohort, wildcards.case).stripped else ""


def _given_weights(wildcards):
    path = _STRIPPING[f"{wildcards.network}_weights"]["path"]
    return {"given": path} if path else {}


def _weights_options(wildcards, input):
    weights = _STRIPPING[f"{wildcards.network}_weights"]
    return _as_options(wildcards, input) + options({key: weights[key] for key in ("url", "sha256")})


def _weights_of(method):
    """The file of each network that a method of skull stripping runs, by the name of its option."""
    return {
        f"{network}_weights": f"{_WEIGHTS}/{network}.weights"
        for network in method.split("+")
        if network.startswith("synth")
    }


def _prepare_mri_inputs(wildcards):
    return {"mri": f"{_INGESTED}/{wildcards.modality}.nii.gz", **_weights_of(_mri_method(wildcards))}


def _mri_method(wildcards):
    """An image that came stripped is left as it is."""
    case = STUDY.case(wildcards.cohort, wildcards.case)
    return "none" if wildcards.modality in case.stripped else _STRIPPING["mri"]


def _contralateral_inputs(wildcards):
    """A template unless the mid-sagittal plane is found in the image itself."""
    images = {"ncct": f"{_PREPROCESSED}/stripped_ncct.nii.gz", "brain": f"{_PREPROCESSED}/brain_mask.nii.gz"}
    if _PREPROCESS["contralateral"] == "midplane":
        return images
    return images | {"template": f"{_TEMPLATE}/template.nii.gz", "template_mask": f"{_TEMPLATE}/template_mask.nii.gz"}


def _final_lesion_inputs(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    inputs = {"lesion": f"{_INGESTED}/lesion.nii.gz", "ncct": f"{_PREPROCESSED}/ncct.nii.gz"}
    if case.lesion_space == "mri":
        inputs["affine"] = f"{_PREPROCESSED}/mri_to_ncct.txt"
    return inputs


def _describe_case_inputs(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    inputs = {
        "head": f"{_PREPROCESSED}/resampled_ncct.nii.gz",
        "brain_mask": f"{_PREPROCESSED}/brain_mask.nii.gz",
        **{name: f"{_PREPROCESSED}/{name}.nii.gz" for name in ("ncct", "mirrored", "difference", "brain")},
        "to_template": f"{_PREPROCESSED}/ncct_to_template.txt",
        "ingest_json": f"{_INGESTED}/ncct.json",
        "brain_json": f"{_PREPROCESSED}/brain_mask.json",
        "contralateral_json": f"{_PREPROCESSED}/contralateral.json",
    }
    if case.lesion:
        inputs["lesion"] = f"{_PREPROCESSED}/lesion.nii.gz"
    if case.mri:
        inputs["registration_json"] = f"{_PREPROCESSED}/mri_to_ncct.json"
        inputs["mri"] = f"{_PREPROCESSED}/registered_{case.mri_modality[0]}.nii.gz"
    return inputs


def _as_options(wildcards, input):
    """One option for every named input, so that a script gets the optional ones when they are there."""
    return options({key.replace("_", "-"): path for key, path in input.items()})


def _pretraining_entry(wildcards):
    entries = config["pretrainings"]
    if wildcards.pretraining not in entries:
        raise WorkflowError(f"{wildcards.pretraining!r} is no entry of pretrainings; there are {', '.join(entries)}.")
    return entries[wildcards.pretraining]


def _pretraining_images(wildcards):
    _pretraining_entry(wildcards)
    return f"{OUT}/pretrain/datasets/{STUDY.images(wildcards.pretraining)}"


def pretrain_probe_inputs(wildcards):
    """The pretraining with its arrays, who the patients are, and where the attributes stand."""
    dataset, table = _pretraining_images(wildcards), config["probe"]["table"]
    cases = STUDY.image_set_cases(_pretraining_entry(wildcards)["image_set"])
    return {
        "encoder": f"{OUT}/pretrain/{wildcards.pretraining}/encoder.pt",
        "cases": f"{dataset}/cases.tsv",
        "arrays": f"{dataset}/arrays",
        "splits": f"{OUT}/split/splits.tsv",
        "case_json": per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/case.json", cases),
        "table": [table] if table else [],
    }


def report_settings(wildcards):
    sections = ("title", "notice", "run", "image_sets", "preprocess", "split", "pretrain", "probe", "finetune")
    sections += ("segment", "evaluate", "report")
    return json.dumps(
        {
            **{name: config[name] for name in sections},
            "arms": {name: STUDY.arm(name) for name in STUDY.arms},
            "pretrainings": {name: config["pretrainings"][name] for name in STUDY.pretrainings},
            "excluded": [{"cohort": c.cohort, "case": c.case, "reason": c.exclude} for c in STUDY.excluded],
        }
    )


def case_page_input(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    folder = f"{OUT}/preprocess/{case.cohort}/{case.case}"
    return {
        "case_json": f"{folder}/case.json",
        "ingest_json": f"{OUT}/ingest/{case.cohort}/{case.case}/ncct.json",
        "upright": f"{OUT}/ingest/{case.cohort}/{case.case}/ncct.nii.gz",
        "unstripped": f"{folder}/resampled_ncct.nii.gz",
        **{name: f"{folder}/{name}.nii.gz" for name in ("brain_mask", "ncct", "mirrored", "difference", "brain")},
        "mri": [f"{folder}/registered_{modality}.nii.gz" for modality in case.mri_modality],
        "lesion": [f"{folder}/lesion.nii.gz"] if case.lesion else [],
    }


def case_page_options(wildcards, input):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    words = options({"title": config["title"], "notice": config["notice"], "lesion": input.lesion or None})
    for modality, path in zip(case.mri_modality, input.mri):
        words += ["--mri", modality, path]
    return words


def segmentation_page_input(wildcards):
    case = STUDY.case(wildcards.cohort, wildcards.case)
    folder = f"{OUT}/preprocess/{case.cohort}/{case.case}"
    return {
        "ncct": f"{folder}/ncct.nii.gz",
        "brain": f"{folder}/brain.nii.gz",
        "lesion": [f"{folder}/lesion.nii.gz"] if case.lesion else [],
        "segmentations": [f"{OUT}/segment/{arm}/ensemble/{case.cohort}/{case.case}.nii.gz" for arm in BEST_ARMS],
    }


def segmentation_page_options(wildcards, input):
    words = options({"title": config["title"], "notice": config["notice"], "lesion": input.lesion or None})
    for arm, path in zip(BEST_ARMS, input.segmentations):
        words += ["--segmentation", arm, path]
    return words
