"""Command-line arguments that rules take from the configuration and from a case."""

import json
from typing import Any

from workflow_scripts.common.vocabulary import ENSEMBLE
from workflow_scripts.study import inputs, paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.options import options
from workflow_scripts.study.source_digest import source_digest
from workflow_scripts.study.study import Study

FINAL = ("ncct", "mirrored", "difference", "brain")  # images of a case


def stripped(study: Study, cohort: str, case: str) -> str:
    """``--stripped`` where the NCCT came skull-stripped."""
    return "--stripped" if "ncct" in study.case(cohort, case).stripped else ""


def series(study: Study, cohort: str, case: str) -> list[str]:
    """The DICOM series that the case sheet asks for."""
    return options({"series": study.case(cohort, case).ncct_series})


def ncct_path(study: Study, cohort: str, case: str) -> str:
    """The path of the scan, as the case sheet has it; a param is not searched for wildcards."""
    return study.case(cohort, case).ncct


def lesion_path(study: Study, cohort: str, case: str) -> str | None:
    """The path of the lesion mask."""
    return study.case(cohort, case).lesion


def brain_mask_path(study: Study, cohort: str, case: str) -> str | None:
    """The path of the brain mask."""
    return study.case(cohort, case).brain_mask


def ncct_source(study: Study, cohort: str, case: str) -> str:
    """Digest of the scan's files, so that its job runs again when one is overwritten inside its folder."""
    return source_digest(study.case(cohort, case).ncct)


def mri_source(study: Study, cohort: str, case: str, modality: str) -> str:
    """Digest of an MRI's files."""
    return source_digest(inputs.ingest.mri_path(study, cohort, case, modality))


def mri_volume(study: Study, cohort: str, case: str, modality: str) -> list[str]:
    """The volume of a 4-D MRI that the case sheet asks for."""
    found = study.case(cohort, case)
    return options({"volume": found.mri_volume[found.mri_modality.index(modality)]})


def lesion_labels(study: Study, cohort: str, case: str) -> list[str]:
    """The labels of the mask that the case sheet, or the configuration for its cohort, calls lesion."""
    given = study.case(cohort, case).lesion_labels or study.config["ingest"]["lesion_labels"].get(cohort)
    return options({"labels": given or None})


def ncct_limits(study: Study) -> list[str]:
    """What an NCCT must have, and its lowest HU."""
    return options(
        {key.replace("_", "-"): value for key, value in study.config["ingest"].items() if key != "lesion_labels"}
    )


def aligned(study: Study, cohort: str, case: str) -> str:
    """``--aligned`` where the MRI came in the space of the NCCT."""
    return "--aligned" if inputs.preprocess.case_with_mri(study, cohort, case).mri_aligned else ""


def weights_source(study: Study, network: str) -> list[str]:
    """Where the weights of a network come from, and their digest."""
    weights = study.config["preprocess"]["skull_stripping"][f"{network}_weights"]
    source = {"given": weights["path"]} if weights["path"] else {}
    return options(source | {key: weights[key] for key in ("url", "sha256")})


def resampling(study: Study) -> list[str]:
    """Spacing of the grids of preprocessing."""
    given = study.config["preprocess"]
    return [*options({"spacing": given["spacing_mm"]}), "--antialias" if given["antialias"] else "--no-antialias"]


def registration(study: Study) -> list[str]:
    """Settings of elastix."""
    given = study.config["preprocess"]["registration"]
    return options({key.replace("_", "-"): value for key, value in given.items()} | {"seed": study.config["seed"]})


def dataset(study: Study) -> list[str]:
    """How nnU-Net plans; the same for pretraining and finetuning, or an encoder would not fit its arm."""
    nnunet = study.config["nnunet"]
    return options(
        {
            "spacing": study.config["preprocess"]["spacing_mm"],
            "gpu-memory": nnunet["gpu_memory_gb"],
            "patch-size": nnunet["patch_size"],
            "batch-size": nnunet["batch_size"],
            "features": nnunet["features"],
        }
    )


def pretrain_settings(study: Study, pretraining: str) -> str:
    """Settings of a pretraining, as JSON: its own entry and the shared section with the optimiser that is used."""
    entry, shared = study.pretraining(pretraining), dict(study.config["pretrain"])
    shared["optimiser"] = shared.pop("optimisers")[shared["preset"]]
    # An order that does not hang on that of the files that the configuration was merged from.
    shared = json.loads(json.dumps(shared, sort_keys=True))
    own = {name: entry[name] for name in ("image_set", "channels", "symmetry", "method")}
    return json.dumps({"pretraining": pretraining, **own, "seed": study.config["seed"], **shared})


def pretrain_launch(study: Study) -> str:
    """The words of the shell that start a pretraining: one process, or one a GPU that share the batch, on each node.

    A scheduler's warning reaches all processes, and they get the time to save that the scheduler leaves. On several
    nodes Slurm starts one torchrun each, beside the step that runs the rule; they meet on the node of that step.
    """
    asked, script = study.config["resources"]["pretrain"], "workflow_scripts.pretrain.pretrain"
    processes, nodes = max(asked["gpu"], 1), asked["nodes"]
    if processes * nodes == 1:
        return f"python -m {script}"
    alone, step = "--standalone", ""
    if nodes > 1:
        step = f"srun --overlap --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1 "
        job = "${SLURM_JOB_ID:?several nodes of resources.pretrain need Slurm}"
        meeting = "$(hostname):$((20000 + ${SLURM_JOB_ID} % 10000))"
        alone = f"--nnodes {nodes} --rdzv-backend c10d --rdzv-id {job} --rdzv-endpoint {meeting}"
    return (
        f"{step}python -m torch.distributed.run {alone} --nproc-per-node {processes}"
        f" --signals-to-handle SIGTERM,SIGUSR1,SIGINT --shutdown-timeout 600 --module {script}"
    )


def initial_weights(study: Study, pretraining: str) -> list[str]:
    """The file that a pretraining begins from."""
    return options({"initial-weights": study.pretraining(pretraining).get("initial_weights")})


def supervised_encoder(study: Study, pretraining: str) -> list[str]:
    """The encoder that a probe takes as its positive control."""
    return options({"supervised": (study.config["probe"]["supervised"] or {}).get(pretraining)})


def finetune_settings(study: Study, arm: str) -> str:
    """Settings of the trainings of an arm or a budget, as JSON."""
    entry = study.arm(arm)
    own = {name: entry[name] for name in ("train", "channels", "pretraining", "statistics_from", "epochs")}
    if budget := study.budgets.get(arm):
        own |= {"labels": budget.labels, "epochs": study.config["label_efficiency"]["epochs"] or entry["epochs"]}
    return json.dumps({"arm": arm, **own, **study.config["finetune"], "encoder": study.encoder_training(arm)})


def labelled_cases(study: Study, arm: str) -> list[str]:
    """The labelled cases of an arm's cohorts, as cohort/case."""
    return [f"{case.cohort}/{case.case}" for case in study.labelled(study.arm(arm)["train"])]


def cohort_cases(study: Study, cohort: str) -> list[str]:
    """Names of a cohort's cases."""
    return [case.case for case in study.of_cohort(cohort)]


def batch(study: Study, cohort: str, case: str) -> list[str]:
    """The other cases of a case's batch: equal parts of its cohort, in the order of the case sheet."""
    number = inputs.segment.batch_number(study, study.case(cohort, case))
    return [other.case for other in inputs.segment.batch_cases(study, cohort, number) if other.case != case]


def segmentation(study: Study) -> dict[str, Any]:
    """What decides how a mask is made: the section `segment` without the size of the batches."""
    return {name: value for name, value in study.config["segment"].items() if name != "batch_size"}


def report_settings(study: Study) -> str:
    """Settings of the report, as JSON."""
    config = study.config
    sections = ("title", "notice", "run", "image_sets", "preprocess", "split", "pretrain", "probe", "finetune")
    sections += ("label_efficiency",)
    sections += ("segment", "evaluate", "report")
    content: dict[str, Any] = {name: config[name] for name in sections}
    content["segment"] = segmentation(study)
    content |= {
        "arms": {name: study.arm(name) | {"encoder": study.encoder_training(name)} for name in study.arms},
        "pretrainings": {name: study.pretraining(name) for name in study.pretrainings},
        "excluded": [{"cohort": c.cohort, "case": c.case, "reason": c.exclude} for c in study.excluded],
    }
    return json.dumps(content)


def case_page(study: Study, cohort: str, case: str) -> list[str]:
    """Heading of a case's page, and its files."""
    found = study.case(cohort, case)
    ingested, folder = (
        paths.file(study.results, key, cohort=cohort, case=case) for key in ("ingested", "preprocessed")
    )
    files = {name.replace("_", "-"): f"{folder}/{name}.nii.gz" for name in ("brain_mask", *FINAL, *_lesion(found))}
    files |= {"case-json": f"{folder}/case.json", "ingest-json": f"{ingested}/ncct.json"}
    words = _heading(study) + options(files | {"upright": f"{ingested}/ncct.nii.gz"})
    for modality in found.mri_modality:
        words += ["--mri", modality, f"{folder}/registered_{modality}.nii.gz"]
    words.append("--show-faces" if study.config["report"]["show_faces"] else "--no-show-faces")
    return words


def segmentation_page(study: Study, cohort: str, case: str) -> list[str]:
    """Heading of a page of segmentations, its images and masks, and which arms may show a test case."""
    folder = paths.file(study.results, "preprocessed", cohort=cohort, case=case)
    images = {name: f"{folder}/{name}.nii.gz" for name in ("ncct", "brain", *_lesion(study.case(cohort, case)))}
    words = _heading(study) + options(images | {"test-arms": study.test_arms})
    for arm in study.config["report"]["best_arms"]:
        words += ["--segmentation", arm, *inputs.segment.masks(study, arm, ENSEMBLE, [study.case(cohort, case)])]
    return words


def scan(study: Study, cohort: str, case: str) -> list[str]:
    """The ingested NCCT and its record."""
    folder = paths.file(study.results, "ingested", cohort=cohort, case=case)
    return options({"ncct": f"{folder}/ncct.nii.gz", "record": f"{folder}/ncct.json"})


def _lesion(case: Case) -> list[str]:
    return ["lesion"] if case.lesion else []


def _heading(study: Study) -> list[str]:
    return options({"title": study.config["title"], "notice": study.config["notice"]})
