"""Balls in mm, held to the distance between every two voxels, on masks that touch the edge and masks that do not."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from workflow_scripts.preprocess.voxels.morphology import dilate, erode

SPACING = np.array([0.7, 1.3, 5.0])
SHAPE = (15, 12, 6)
ROUNDING_MM = 1e-9


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    noise = [ndimage.gaussian_filter(rng.standard_normal(SHAPE), sigma) for sigma in (0.3, 1.0, 2.0)]
    inner = np.zeros(SHAPE, bool)
    inner[4:9, 5:8, 2:4] = True
    corner = np.zeros(SHAPE, bool)
    corner[:9, :6, :3] = True
    return [*(one > 0.1 * one.std() for one in noise), inner, corner, np.zeros(SHAPE, bool), np.ones(SHAPE, bool)]


def distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance in mm of every voxel to the nearest of a mask; infinite for an empty one."""
    voxels, wanted = np.argwhere(np.ones(SHAPE, bool)) * SPACING, np.argwhere(mask) * SPACING
    return (cdist(voxels, wanted).min(axis=1) if len(wanted) else np.full(len(voxels), np.inf)).reshape(SHAPE)


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.6, 6.0])
@pytest.mark.parametrize("mask", masks())
def test_a_ball_reaches_as_far_as_its_radius(mask, radius):
    np.testing.assert_array_equal(dilate(mask, SPACING, radius), distance_to(mask) <= radius + ROUNDING_MM)
    np.testing.assert_array_equal(erode(mask, SPACING, radius), distance_to(~mask) > radius + ROUNDING_MM)
