"""What a head CT shows by its numbers alone: padding, tissue, and a brain mask by threshold and morphology."""

import numpy as np
from scipy import ndimage

from workflow_scripts.common.masks import bounding_box
from workflow_scripts.preprocess.voxels.morphology import dilate, erode, largest_component, opened

PSEUDO_T1_WINDOW_HU = (-10.0, 60.0)
BONE_HU = 90.0
SMOOTHING_MM = 0.8
BRAIN_WINDOW_HU = (-20.0, 100.0)
CORE_RADIUS_MM = 6.0
OPENING_MM = 2.0
PADDING_SHARE = 0.2
SAME_HU = 0.01


def padding(hu: np.ndarray) -> np.ndarray:
    """Find voxels that hold no measurement: one repeated value, connected to the edge of the array.

    A stripped image is often filled with 0, which would pass for water. The edge counts as padded when its most
    common value covers a fifth of it, which noise does not.
    """
    edge = np.zeros(hu.shape, bool)
    for axis in range(3):
        np.moveaxis(edge, axis, 0)[[0, -1]] = True
    values, counts = np.unique(np.round(hu[edge], 2), return_counts=True)
    if counts.max() < PADDING_SHARE * counts.sum():
        return np.zeros(hu.shape, bool)
    labels, _ = ndimage.label(np.abs(hu - values[counts.argmax()]) < SAME_HU)
    touching = np.unique(labels[edge])
    return np.isin(labels, touching[touching > 0])


def pseudo_t1(hu: np.ndarray, spacing: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """Turn a CT into something that a network trained on T1-weighted MRI accepts as a head.

    Bone, air and fat go to 0, soft tissue to 0..70, lightly smoothed; float32, same shape.
    """
    low, high = PSEUDO_T1_WINDOW_HU
    image = np.clip(hu, low, high) - low
    image[(hu > BONE_HU) | padded] = 0
    return ndimage.gaussian_filter(image.astype(np.float32), SMOOTHING_MM / spacing)


def brain_by_threshold(hu: np.ndarray, spacing: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """Find the brain classically: soft tissue, freed from scalp and neck by erosion, largest part, grown back."""
    brain = np.zeros(hu.shape, bool)
    tissue = _soft_tissue(hu, spacing, padded)
    if not tissue.any():
        return brain
    box = bounding_box(tissue, margin=1)
    tissue = tissue[box]
    core = largest_component(erode(tissue, spacing, CORE_RADIUS_MM))
    brain[box] = ndimage.binary_fill_holes(tissue & dilate(core, spacing, CORE_RADIUS_MM + OPENING_MM))
    return brain


def clean(mask: np.ndarray, hu: np.ndarray, spacing: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """Take out of a brain mask what is no soft tissue, cut off thin spills, keep one piece and fill its holes."""
    cleaned = np.zeros(mask.shape, bool)
    tissue = mask & _soft_tissue(hu, spacing, padded)
    if not tissue.any():
        return cleaned
    box = bounding_box(tissue, margin=1)
    piece = largest_component(opened(tissue[box], spacing, OPENING_MM))
    cleaned[box] = ndimage.binary_fill_holes(piece)
    return cleaned


def _soft_tissue(hu: np.ndarray, spacing: np.ndarray, padded: np.ndarray) -> np.ndarray:
    low, high = BRAIN_WINDOW_HU
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), SMOOTHING_MM / spacing)
    return (smooth >= low) & (smooth <= high) & ~padded
