"""Whether the skull over the brain is whole."""

import numpy as np

from workflow_scripts.common.volume import Volume, to_ras

BONE_HU, AIR_HU = 200.0, -500.0
LOWEST_DEGREES = 15.0  # above the horizontal through the middle of the brain: below lie orbits, neck and thin bone
DIRECTIONS = 4000
REACH_MM, STEP_MM = 140.0, 1.0
INSIDE_MM = 10.0  # a mask may end this far within the bone it leaks through


def skull_gap_cm2(head: Volume, brain: np.ndarray) -> float:
    """Return the area of the upper surface of the brain over which there is no bone, in cm².

    Rays run from the middle of the brain, evenly in all directions above it, and count where they leave the head
    without meeting bone. Where the scan ends inside the head nothing is known, and nothing counts. ``head`` is in HU;
    ``brain`` is boolean, on its grid, not empty.
    """
    upright, mask = to_ras(head), to_ras(head.with_data(brain.astype(np.uint8))).data > 0
    index = np.linalg.inv(upright.affine)
    middle = (upright.affine @ [*np.argwhere(mask).mean(axis=0), 1])[:3]
    directions = _upward()
    distances = np.arange(0, REACH_MM, STEP_MM)
    points = middle[:, None, None] + directions.T[:, :, None] * distances
    voxels = np.rint(np.einsum("ij,jkl->ikl", index[:3, :3], points) + index[:3, 3][:, None, None]).astype(int)
    measured = ((voxels >= 0) & (voxels < np.array(mask.shape)[:, None, None])).all(axis=0)
    voxels = tuple(np.where(measured, voxels, 0))
    hu = np.where(measured, upright.data[voxels], np.nan)
    depth = np.where(mask[voxels] & measured, distances, 0).max(axis=1)
    beyond = distances >= depth[:, None] - INSIDE_MM
    bare = ~(beyond & (hu > BONE_HU)).any(axis=1) & (beyond & (hu < AIR_HU)).any(axis=1)
    return float((depth[bare] ** 2).sum() * 4 * np.pi / DIRECTIONS / 100)


def _upward() -> np.ndarray:
    """Return unit vectors (n, 3), evenly spread over the sphere (a Fibonacci lattice) above the lowest angle."""
    number = np.arange(DIRECTIONS)
    z = 1 - (2 * number + 1) / DIRECTIONS
    turn = number * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - z**2)
    directions = np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])
    return directions[z > np.sin(np.radians(LOWEST_DEGREES))]
