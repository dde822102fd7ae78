"""Plans: nnU-Net's planner, and what the study changes in its result.

Plans and fingerprints are plain dictionaries of JSON types here; sizes are (z, y, x).
"""

import io
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.nnunet.cases import DatasetCase
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES
from workflow_scripts.common.nnunet.folders import nnunet_folders

log = logging.getLogger(__name__)

CONFIGURATION = "3d_fullres"
# nnU-Net needs a name of this form; the folder of the dataset has a better one.
DATASET = "Dataset001_study"
NEEDED = (
    *(f"architecture.{key}" for key in ("network_class_name", "arch_kwargs", "_kw_requires_import")),
    *("batch_size", "data_identifier", "patch_size", "spacing"),
)
MAX_FEATURES = 320
MIN_EDGE = 4


def dataset_json(channels: Sequence[str], label: str, training_cases: int) -> dict[str, Any]:
    """Describe a dataset to nnU-Net.

    Both channels are named "CT", the one name for which nnU-Net normalises by the statistics of the whole dataset.
    The difference image needs that too: its zero means "left equals right", and its size in HU is the finding. A
    z-score of each image on its own would stretch a symmetric brain's noise to the size of an infarct.

    Parameters
    ----------
    channels
        ``ncct``, or ``ncct`` and ``difference``; kept under ``channels``, which nnU-Net ignores
    label
        name of label 1: ``brain`` or ``lesion``
    training_cases
        cases that the planner counts
    """
    return {
        "channel_names": {str(index): "CT" for index in range(len(channels))},
        "channels": list(channels),
        "labels": {"background": 0, label: 1},
        "numTraining": training_cases,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIO",
    }


def make_plans(
    fingerprint: Mapping[str, Any],
    dataset: Mapping[str, Any],
    example: DatasetCase,
    spacing_mm: float,
    gpu_memory_gb: float,
) -> dict[str, Any]:
    """Run nnU-Net's planner on a fingerprint; return its plans with the 3d_fullres configuration alone.

    Parameters
    ----------
    fingerprint
        of `extract_fingerprint`
    dataset
        of `dataset_json`
    example
        any case; the planner tries the reader on it
    spacing_mm
        isotropic spacing of the images; the planner's target, so that nothing is resampled
    gpu_memory_gb
        memory that the planner fills
    """
    images = [str(path.absolute()) for path in example.images]
    listed = {example.key: {"images": images, "label": str(example.label.absolute())}}
    with (
        tempfile.TemporaryDirectory() as temporary,
        nnunet_folders(Path(temporary), workers=1) as root,
        redirect_stdout(io.StringIO()) as chatter,
    ):
        write_json(root / "raw" / DATASET / "dataset.json", {**dataset, "dataset": listed})
        write_json(root / "preprocessed" / DATASET / "dataset_fingerprint.json", fingerprint)
        planner = ExperimentPlanner(
            DATASET, gpu_memory_target_in_gb=gpu_memory_gb, overwrite_target_spacing=(float(spacing_mm),) * 3
        )
        planner.plan_experiment()
        plans = read_json(root / "preprocessed" / DATASET / "nnUNetPlans.json")
    log.debug(chatter.getvalue())
    plans["configurations"] = {CONFIGURATION: plans["configurations"][CONFIGURATION]}
    return plans


def with_overrides(
    plans: Mapping[str, Any],
    patch_size: Sequence[int] | None = None,
    batch_size: int | None = None,
    features: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return plans with another patch, batch or width; strides and kernels follow the patch by nnU-Net's own rule.

    Parameters
    ----------
    patch_size
        voxels (z, y, x); None keeps the planner's
    batch_size
        None keeps the planner's
    features
        feature maps of each encoder stage; None keeps the planner's rule, 32 doubling up to 320

    Raises
    ------
    InputError
        when the patch cannot be halved as often as the network does, or ``features`` has not one number a stage
    """
    plans = deepcopy(dict(plans))
    configuration = plans["configurations"][CONFIGURATION]
    network = configuration["architecture"]["arch_kwargs"]
    if patch_size is not None:
        configuration["patch_size"] = _set_topology(network, list(patch_size), configuration["spacing"])
    if batch_size is not None:
        configuration["batch_size"] = batch_size
    if features is not None:
        if len(features) != network["n_stages"]:
            raise InputError(
                f"nnunet.features {list(features)} has {len(features)} numbers, a patch of "
                f"{configuration['patch_size']} gives {network['n_stages']} stages.",
                f"give {network['n_stages']} numbers, or another nnunet.patch_size.",
            )
        network["features_per_stage"] = list(features)
    return plans


def read_plans(path: Path) -> dict[str, Any]:
    """Read plans; raises `InputError` for a file that is damaged or no plans of this workflow."""
    return read_json(path, ["dataset_name", INTENSITIES, *(f"configurations.{CONFIGURATION}.{key}" for key in NEEDED)])


def with_architecture_of(plans: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``plans`` with architecture, patch and batch of ``other``.

    Planning again is not enough: the shapes of the two datasets may give other strides. These cannot be seen in the
    shapes of weights, so an encoder would be loaded into a network that it was not trained in.
    """
    plans = deepcopy(dict(plans))
    ours, theirs = plans["configurations"][CONFIGURATION], other["configurations"][CONFIGURATION]
    for entry in ("architecture", "patch_size", "batch_size"):
        ours[entry] = deepcopy(theirs[entry])
    return plans


def architecture(plans: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's description: network_class_name, arch_kwargs, _kw_requires_import, as JSON types."""
    return json.loads(json.dumps(plans["configurations"][CONFIGURATION]["architecture"]))


def _set_topology(network: dict[str, Any], patch_size: list[int], spacing: Sequence[float]) -> list[int]:
    _, strides, kernels, possible, _ = get_pool_and_conv_props(spacing, patch_size, MIN_EDGE, 999999)
    possible = [int(value) for value in possible]
    if possible != patch_size:
        raise InputError(
            f"nnunet.patch_size {patch_size} cannot be halved evenly by a network of {len(strides)} stages.",
            f"give {possible}.",
        )
    stages = len(strides)
    base = network["features_per_stage"][0]
    network |= {
        "n_stages": stages,
        "strides": [list(stride) for stride in strides],
        "kernel_sizes": [list(kernel) for kernel in kernels],
        "features_per_stage": [min(MAX_FEATURES, base * 2**stage) for stage in range(stages)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return patch_size
