"""Numbers that tell whether a registration can be right, without knowing the truth."""

from typing import Any

import numpy as np

from workflow_scripts.common.volume import Volume, resample

INFORMATION_KEPT = 0.9


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


def doubts(facts: dict[str, Any], stretch_limits: tuple[float, float], max_rotation_degrees: float) -> list[str]:
    """Name what is implausible about an affine described by `affine_facts`: ``stretch``, ``rotation``, ``information``.

    The last is checked where the facts hold ``mutual_information`` from before and after: it must not become less,
    but for the tenth that random samples and the choice of a maximum by gradient may cost.
    """
    found = []
    low, high = facts["stretch"]
    if low < stretch_limits[0] or high > stretch_limits[1]:
        found.append("stretch")
    if facts["rotation_degrees"] > max_rotation_degrees:
        found.append("rotation")
    information = facts.get("mutual_information")
    if information and information["after"] < INFORMATION_KEPT * information["before"]:
        found.append("information")
    return found


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
        result[name] = mutual_information(values, moved.data[fixed_mask], bins)
    return result


def mutual_information(first: np.ndarray, second: np.ndarray, bins: int) -> float:
    """Return the mutual information in nats of two equally long arrays, from their joint histogram."""
    joint = np.histogram2d(first.ravel(), second.ravel(), bins)[0] / first.size
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())
