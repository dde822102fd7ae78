"""What a model needs of this machine's memory, estimated before anything is loaded, and the bound that a user gives.

The factors are those of a network of nnU-Net's own plan on a CPU (docs/new_patient.md, "Time and memory"), rounded up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.contents import PLANS, PREPROCESSING

LIBRARIES_GB = 0.6  # Python with torch and nnU-Net
# Times the largest feature map of a window, float32: maps that are alive at once, and copies in oneDNN's own order.
WINDOW = {"kept": 9.5, "returned": 6.5}
BYTES_A_VOXEL = 60  # of the final images: channels, masks and probabilities of each network, and their means
STRIPPING_GB = {"synthstrip": 6.0, "synthsr": 4.6, "deepbet": 1.2}  # config.yaml, `resources`; on a grid of its own
OTHER_STEPS_GB = 0.7


@dataclass(frozen=True)
class Need:
    """Memory that networks need for one scan, GB, when freed memory is kept (faster) or returned to the system."""

    kept: float
    returned: float


def need(plan: Mapping[str, Any], weights: int, networks: int, voxels: float) -> Need:
    """Estimate the memory of the networks on a CPU.

    Parameters
    ----------
    plan
        the configuration of nnU-Net's plans that the networks are of
    weights
        bytes of all networks' checkpoints
    networks
        how many they are; one is in memory twice while it is loaded
    voxels
        of the final images
    """
    network = plan["architecture"]["arch_kwargs"]
    size, maps = prod(plan["patch_size"]), []
    for features, stride in zip(network["features_per_stage"], network["strides"], strict=True):
        size /= prod(stride) if isinstance(stride, list) else stride**3
        maps.append(4 * features * size)
    fixed = LIBRARIES_GB * 1e9 + weights * (1 + 1 / networks) + BYTES_A_VOXEL * voxels
    return Need(*((fixed + factor * max(maps)) / 1e9 for factor in (WINDOW["kept"], WINDOW["returned"])))


def need_of(model: Path, shape: Sequence[int] | None = None) -> Need:
    """Estimate it for an exported model, whose files have been checked, and a scan; without one, the usual in training.

    ``shape`` is that of the final images, in any order of the axes.
    """
    files = layout.checkpoints(model, read_json(model / layout.MANIFEST))
    plan = read_json(model / PLANS)["configurations"]["3d_fullres"]
    voxels = prod(shape or plan["median_image_size_in_voxels"])
    return need(plan, sum(file.stat().st_size for file in files), len(files), voxels)


def require(memory_gb: float, needed: float, what: str) -> None:
    """Raise `InputError` where a bound is below what is needed."""
    if needed > memory_gb:
        raise InputError(
            f"{what} needs about {needed:.1f} GB of memory, and --memory-gb is {memory_gb:g}.",
            f"give --memory-gb {needed + 0.05:.1f} or more, or leave it out.",
        )


def require_for_model(memory_gb: float, model: Path, on_cpu: bool) -> None:
    """Check a bound against every step that an exported model takes; on a GPU, its networks have that one's memory."""
    stripping = read_json(model / PREPROCESSING)["preprocess"]["skull_stripping"]
    for name, gigabytes in STRIPPING_GB.items():
        if name in f"{stripping['ncct']} {stripping['cross_check']}":
            require(memory_gb, gigabytes, f"This model's skull stripping ({name})")
    require(memory_gb, OTHER_STEPS_GB, "The preparation of a scan")
    if on_cpu:
        require(memory_gb, need_of(model).returned, "A window of this model's networks, with their weights and a scan,")
