"""Phantoms of heads with early infarcts, on a grid of their own, cut to the brain; made once and kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from workflow_scripts.common import seeds
from workflow_scripts.common.files import replacing
from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume

COHORT = "icoAIS"
CONTRAST_HU = (3.0, 6.0)  # darker than the tissue around; the demo's infarcts, of hours later, are 6 to 12
CLIP_HU = (-100, 400)
MARGIN = 1
NAMES = ("image", "mirrored", "brain", "lesion")


@dataclass(frozen=True)
class Head:
    """Arrays (z, y, x) on one grid: image and mirrored image in HU, brain and lesion bool."""

    image: np.ndarray
    mirrored: np.ndarray
    brain: np.ndarray
    lesion: np.ndarray


def head_numbers(count: int) -> list[int]:
    """Numbers of the first ``count`` patients who have a lesion."""
    return [number for number in range(1, 2 * count + 2) if number % 20 != 13][:count]


def make_head(number: int, seed: int, spacing_mm: float) -> Head:
    """Make one; its infarcts are as faint as those of the first hours."""
    from workflow_scripts.phantom.body.plan import plan_case
    from workflow_scripts.phantom.scanner import images
    from workflow_scripts.phantom.scanner.scan import build_patient, find_truth

    plan = plan_case(COHORT, f"I{number:03d}", seed)
    rng = seeds.generator(seed, "transfer contrast", number)
    lesions = tuple(replace(lesion, contrast_hu=float(rng.uniform(*CONTRAST_HU))) for lesion in plan.lesions)
    plan = replace(plan, lesions=lesions)
    truth = find_truth(build_patient(_anatomy(spacing_mm), plan), plan, spacing_mm, spacing_mm)
    noise = images.ct_noise(truth.untilted.data.shape, truth.untilted.spacing, plan.case_rng("ncct"))
    hu = np.clip(np.rint(truth.untilted.data + noise), *CLIP_HU)
    image = np.where(truth.brain_mask.data > 0, hu, CLIP_HU[0]).astype(np.int16)
    mirrored = _mirror(truth.untilted.with_data(image), truth.midsagittal)
    box = bounding_box(truth.brain_mask.data > 0, MARGIN)
    volumes = image, mirrored, truth.brain_mask.data > 0, truth.lesion_ncct.data > 0
    return Head(*(np.ascontiguousarray(volume[box].transpose(2, 1, 0)) for volume in volumes))


def heads(folder: Path, group: str, count: int, seed: int, spacing_mm: float, pool: Any) -> list[Head]:
    """Read a group of heads, or make and keep it."""
    path = folder / f"{group}.npz"
    if not path.exists():
        made = list(pool.map(partial(make_head, seed=seed, spacing_mm=spacing_mm), head_numbers(count)))
        arrays = {f"{name}{index}": getattr(head, name) for index, head in enumerate(made) for name in NAMES}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
    with np.load(path) as stored:
        return [Head(*(stored[f"{name}{index}"] for name in NAMES)) for index in range(count)]


def normalised(images: Sequence[np.ndarray], brains: Sequence[np.ndarray]) -> tuple[float, float, float, float]:
    """Lower and upper bound, mean and deviation of the voxels of brains, as nnU-Net normalises CT by."""
    voxels = np.concatenate([image[brain] for image, brain in zip(images, brains, strict=True)]).astype(np.float32)
    low, high = np.percentile(voxels, (0.5, 99.5))
    return float(low), float(high), float(voxels.mean()), float(voxels.std())


def normalise(image: np.ndarray, statistics: tuple[float, float, float, float]) -> np.ndarray:
    """Return float32 (z, y, x)."""
    low, high, mean, deviation = statistics
    return ((np.clip(image, low, high) - mean) / deviation).astype(np.float32)


def _mirror(volume: Volume, plane: dict[str, list[float]]) -> np.ndarray:
    """Reflect an image (x, y, z) about the mid-sagittal plane, given in the world."""
    normal, point = np.array(plane["normal"]), np.array(plane["point_mm"])
    reflection = np.eye(4)
    reflection[:3, :3] -= 2 * np.outer(normal, normal)
    reflection[:3, 3] = 2 * normal * (normal @ point)
    matrix = np.linalg.inv(volume.affine) @ reflection @ volume.affine
    mirrored = ndimage.affine_transform(volume.data.astype(np.float32), matrix, order=1, cval=CLIP_HU[0])
    return np.rint(mirrored).astype(np.int16)


_KEPT: dict[float, Any] = {}


def _anatomy(spacing_mm: float) -> Any:
    if spacing_mm not in _KEPT:
        from workflow_scripts.phantom.body.anatomy import build_anatomy

        _KEPT[spacing_mm] = build_anatomy(spacing_mm)
    return _KEPT[spacing_mm]
