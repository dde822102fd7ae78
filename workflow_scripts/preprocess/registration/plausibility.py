"""Numbers that tell whether a registration can be right, without knowing the truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume, resample
from workflow_scripts.preprocess.voxels.information import mutual_information

INFORMATION_KEPT = 0.9


@dataclass(frozen=True)
class AffineLimits:
    """Beyond these an affine between two brains is implausible."""

    stretch: tuple[float, float]
    rotation_degrees: float
    overlap_dice: float


def affine_facts(matrix: np.ndarray) -> dict[str, Any]:
    """Describe a 4×4 affine: determinant, smallest and largest stretch, and angle of its rotation in degrees.

    The rotation is that of the polar decomposition; a reflection is reported through the sign of the determinant.
    """
    linear = matrix[:3, :3]
    left, stretches, right = np.linalg.svd(linear)
    rotation = left @ right
    rotation = rotation * np.sign(np.linalg.det(rotation))
    cosine = np.clip((np.trace(rotation) - 1) / 2, -1, 1)
    return {
        "determinant": float(np.linalg.det(linear)),
        "stretch": [float(stretches[-1]), float(stretches[0])],
        "rotation_degrees": float(np.degrees(np.arccos(cosine))),
    }


def deformation_mm(matrix: np.ndarray, points: np.ndarray) -> float:
    """Return how far an affine is from a rigid motion: root mean square over ``points`` (n, 3), mm.

    Distance between where the 4×4 ``matrix`` puts the points and where the rigid motion that fits best puts them
    (Kabsch 1976).
    """
    before = points - points.mean(axis=0)
    after = before @ matrix[:3, :3].T
    return float(Rotation.align_vectors(after, before)[1] / np.sqrt(len(points)))


def doubts(facts: dict[str, Any], limits: AffineLimits) -> list[str]:
    """Name what is implausible about an affine with its facts: ``stretch``, ``rotation``, ``information``, ``overlap``.

    The information about the other image must not become less, but for the tenth that random samples and the choice
    of a maximum by gradient may cost. A reflection counts as a stretch.
    """
    low, high = limits.stretch
    information = facts["mutual_information"]
    implausible = {
        "stretch": facts["stretch"][0] < low or facts["stretch"][1] > high or facts["determinant"] < 0,
        "rotation": facts["rotation_degrees"] > limits.rotation_degrees,
        "information": information["after"] < INFORMATION_KEPT * information["before"],
        "overlap": facts["overlap_dice"] < limits.overlap_dice,
    }
    return [name for name, applies in implausible.items() if applies]


def information_gain(
    fixed: Volume, fixed_mask: np.ndarray, moving: Volume, matrix: np.ndarray, bins: int
) -> dict[str, float]:
    """Return the mutual information inside the mask before (headers alone) and after registration, in nats.

    ``matrix`` maps points of ``fixed`` to points of ``moving`` (4×4, RAS+, mm).
    """
    values = fixed.data[fixed_mask]
    result = {}
    for name, to_moving in (("before", np.eye(4)), ("after", matrix)):
        moved = resample(moving, fixed.data.shape, fixed.affine, order=1, background=0, to_source=to_moving)
        result[name] = mutual_information(np.histogram2d(values, moved.data[fixed_mask], bins)[0])
    return result


def overlap(fixed: Volume, moving: Volume, matrix: np.ndarray) -> float:
    """Return the Dice coefficient of two masks after registration, on the grid of ``fixed``; 0 when that is empty.

    ``matrix`` maps points of ``fixed`` to points of ``moving`` (4×4, RAS+, mm).
    """
    first = fixed.data > 0
    moved = resample(
        moving.with_data((moving.data > 0).astype(np.uint8)),
        fixed.data.shape,
        fixed.affine,
        order=0,
        background=0,
        to_source=matrix,
    )
    return dice(first, moved.data > 0) if first.any() else 0.0
