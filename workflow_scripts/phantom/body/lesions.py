"""Infarcts: where they lie in the anatomy and how they show."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from workflow_scripts.phantom.body.anatomy import LOWER_MM, SURFACE_STEP_MM, Anatomy, Field, grid_points
from workflow_scripts.phantom.body.plan import LesionPlan

# Centres in MNI (right hemisphere; mm) around which infarcts of a territory start.
CENTRES = {
    "mca": ((40, 2, 4), (46, -18, 12), (48, -36, 24), (28, 4, 2), (44, 16, 14), (28, -10, 22), (50, -12, -12)),
    "pca": ((16, -80, 4), (26, -66, -8), (18, -58, 2), (12, -18, 8)),
    "cerebellum": ((28, -64, -42), (18, -56, -34), (30, -74, -32)),
}
EDGE_MM = 1.5
EMBOLUS_DEPTH_MM = 16.0


def build_lesions(
    anatomy: Anatomy, plans: Sequence[LesionPlan], scale: float, rng: np.random.Generator
) -> Field | None:
    """Place the lesions in the anatomy.

    Parameters
    ----------
    scale
        volume of the head relative to the anatomy, so that ``volume_ml`` holds in the head
    rng
        generator of the patient

    Returns
    -------
    ``level`` (mm, positive inside the infarct, before leaving out CSF) and ``drop`` (HU that parenchyma is darker), or
    None for a healthy head.
    """
    if not plans:
        return None
    points = grid_points()
    stride = round(SURFACE_STEP_MM / anatomy.tissue.step)
    parenchyma = sum(
        ndimage.uniform_filter(anatomy.tissue.values[name], stride)[::stride, ::stride, ::stride]
        for name in ("grey", "white")
    )
    usable = (parenchyma > 0.5) & (anatomy.surfaces.values["brain"] > 0)
    level = np.full(points.shape[1:], -50.0, np.float32)
    drop = np.zeros_like(level)
    for plan in plans:
        one = _one_lesion(points, usable, anatomy.surfaces.values["cranium"], plan, scale, rng)
        drop = np.maximum(drop, plan.contrast_hu * np.clip(one / EDGE_MM + 0.5, 0, 1))
        level = np.maximum(level, one)
    texture = ndimage.gaussian_filter(rng.standard_normal(level.shape).astype(np.float32), 3.0)
    drop = drop * (1 + 0.12 * texture / texture.std())
    return Field({"level": level, "drop": drop.astype(np.float32)}, SURFACE_STEP_MM, LOWER_MM)


def _one_lesion(
    points: np.ndarray,
    usable: np.ndarray,
    cranium: np.ndarray,
    plan: LesionPlan,
    scale: float,
    rng: np.random.Generator,
) -> np.ndarray:
    territory = _territory(points, plan)
    allowed = usable & (territory > 0)
    centre = _centre(points, allowed, cranium, plan, rng)
    radius = (plan.volume_ml * 1000 / scale * 3 / (4 * np.pi)) ** (1 / 3)
    axes = np.exp(rng.normal(0, 0.22, 3))
    axes /= axes.prod() ** (1 / 3)
    squared = sum(((c - o) / np.float32(a)) ** 2 for c, o, a in zip(points, centre, axes, strict=True))
    bumps = ndimage.gaussian_filter(rng.standard_normal(usable.shape).astype(np.float32), 3.0)
    distance = np.sqrt(squared) + np.float32(0.22 * radius) * bumps / bumps.std()
    # The level that encloses the wanted volume of parenchyma inside the territory.
    values = np.sort(distance[allowed])
    wanted = round(plan.volume_ml * 1000 / scale / SURFACE_STEP_MM**3)
    threshold = values[min(max(wanted, 1), values.size) - 1]
    return np.minimum(threshold - distance + 1e-3, territory).astype(np.float32)


def _territory(points: np.ndarray, plan: LesionPlan) -> np.ndarray:
    """Distance in mm inside the part of the hemisphere that the lesion may fill."""
    x, y, z = points
    lateral = x if plan.side == "right" else -x
    if plan.territory == "cerebellum":
        return np.minimum.reduce([lateral - 3, -16 - z - 0.3 * (y + 60), -38 - y])
    if plan.territory == "pca":
        return np.minimum.reduce([lateral - 3, -y, z + 18 + 0.3 * (y + 60), 45 - z])
    if plan.territory == "mca":
        return np.minimum.reduce([lateral - 12, y + 78, z + 28, 62 - z])
    return np.minimum(lateral - 5, z + 10)


def _centre(
    points: np.ndarray, allowed: np.ndarray, cranium: np.ndarray, plan: LesionPlan, rng: np.random.Generator
) -> np.ndarray:
    if plan.territory == "cortex":
        candidates = np.flatnonzero(allowed & (cranium < EMBOLUS_DEPTH_MM))
        return points.reshape(3, -1)[:, candidates[rng.integers(candidates.size)]]
    centre = np.array(CENTRES[plan.territory][rng.integers(len(CENTRES[plan.territory]))], float)
    if plan.side == "left":
        centre[0] *= -1
    return centre + rng.normal(0, 4, 3)
