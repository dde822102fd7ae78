"""The mid-sagittal plane of a brain, found as the mirror that maps it best onto itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.voxels.grids import coarsened

# Voxels, and standard deviation of the weights across the plane: fissure, falx and ventricles tell the midline, the
# surface is lopsided. Far from the plane the brain helps to find it, near it alone to place it.
LEVELS_MM = ((8.0, 12.0), (4.0, 12.0), (2.0, 8.0))
SEARCH_DEGREES = np.arange(-20.0, 21.0, 10.0)
STEPS = np.array([4.0, 4.0, 4.0])  # first steps of the simplex: degrees, degrees, mm
LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class Plane:
    """Points p with ``normal`` · (p − ``point``) = 0; the unit normal points to the patient's right; RAS+, mm."""

    point: np.ndarray
    normal: np.ndarray

    @property
    def reflection(self) -> np.ndarray:
        """4×4 affine from a point to its mirror image."""
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(self.normal, self.normal)
        matrix[:3, 3] = 2 * (self.normal @ self.point) * self.normal
        return matrix

    @property
    def to_midline(self) -> np.ndarray:
        """4×4 rigid affine that turns the plane onto x = 0, by the smallest turn, and its point to the origin."""
        axis = np.cross(self.normal, [1.0, 0.0, 0.0])
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        matrix = np.eye(4)
        matrix[:3, :3] += cross + cross @ cross / (1 + self.normal[0])
        matrix[:3, 3] = -matrix[:3, :3] @ self.point
        return matrix


def find_midplane(head: Volume, brain: np.ndarray) -> tuple[Plane, float]:
    """Find the plane in which a brain resembles its mirror image most (Pearson correlation, voxels near it count most).

    ``head`` is 0 outside the brain (`ct_for_registration`); the plane's normal lies within some 30 degrees of the
    axis from left to right. A coarse grid is searched, the best plane refined on finer ones.
    Returns the plane and the correlation.
    """
    centre = (head.affine @ [*np.argwhere(brain).mean(axis=0), 1])[:3]
    found = np.zeros(3)
    for step, (spacing_mm, near_mm) in enumerate(LEVELS_MM):
        unlikeness = _unlikeness(head, brain, spacing_mm, near_mm, centre)
        if step == 0:
            starts = [np.array([yaw, roll, 0.0]) for yaw in SEARCH_DEGREES for roll in SEARCH_DEGREES]
            found = min(starts, key=unlikeness)
        simplex = np.vstack([found, found + np.diag(STEPS / 2**step)])
        options = {"initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-6, "maxiter": 200}
        found = optimize.minimize(unlikeness, found, method="Nelder-Mead", options=options).x
    return _plane(found, centre), -unlikeness(found)


def plane_of(to_counterpart: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> Plane:
    """Return the plane through the middles between points of the brain and their counterparts, by least squares.

    ``to_counterpart`` maps a point to its counterpart (4×4, RAS+, mm), which need not lie straight across: a scaled or
    sheared head has its plane where the middles are. The mask has ``affine``.
    """
    voxels = np.argwhere(brain)[:: max(np.count_nonzero(brain) // 5000, 1)]
    points = (affine @ np.column_stack([voxels, np.ones(len(voxels))]).T)[:3]
    halfway = (points + to_counterpart[:3, :3] @ points + to_counterpart[:3, 3:]) / 2
    middle = halfway.mean(axis=1)
    normal = np.linalg.svd(halfway - middle[:, None], full_matrices=False)[0][:, -1]
    return Plane(middle, normal * (np.sign(normal[0]) or 1.0))


def _unlikeness(
    head: Volume, brain: np.ndarray, spacing_mm: float, near_mm: float, centre: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return a function of (yaw, roll, offset), degrees and mm: minus the correlation of the brain with its mirror."""
    image = coarsened(head, spacing_mm)
    voxels = np.argwhere(coarsened(head.with_data(brain), spacing_mm).data >= 0.5).T
    own = image.data[tuple(voxels)]
    points = image.affine[:3, :3] @ voxels + image.affine[:3, 3:]
    to_voxel = np.linalg.inv(image.affine)

    def value(parameters: np.ndarray) -> float:
        plane = _plane(parameters, centre)
        weights = np.exp(-0.5 * ((plane.normal @ points - plane.normal @ plane.point) / near_mm) ** 2)
        near = weights > LEAST_WEIGHT
        index = to_voxel @ plane.reflection
        mirrored = ndimage.map_coordinates(image.data, index[:3, :3] @ points[:, near] + index[:3, 3:], order=1)
        covariance = np.cov(own[near], mirrored, aweights=weights[near])
        return -float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))

    return value


def _plane(parameters: np.ndarray, centre: np.ndarray) -> Plane:
    yaw, roll = np.radians(parameters[:2])
    normal = np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])
    return Plane(centre + parameters[2] * normal, normal)
