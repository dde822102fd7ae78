"""One head: its size, its pose in the scanner and the smooth deformation that makes it asymmetric."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from workflow_scripts.phantom.body.anatomy import LOWER_MM, UPPER_MM, Anatomy, Field

LATTICE_MM = 8.0
HEAD_CENTRE_MNI = np.array([0.0, -18.0, 2.0])
VENTRICLES_MNI = np.array([0.0, -12.0, 12.0])
VENTRICLE_RADIUS_MM = 30.0


@dataclass(frozen=True)
class Shape:
    """What is constant in a person.

    Attributes
    ----------
    scale
        size relative to the MNI152 brain along x, y, z
    warp
        displacement in mm on a lattice over the anatomy's box, components x, y, z
    ventricles
        relative growth of the ventricles; they push their surroundings outwards
    grey_hu, white_hu, csf_hu
        tissue values on CT
    skull, scalp_mm
        relative thickness of the bone, and what is added to the scalp
    """

    scale: np.ndarray
    warp: Field
    ventricles: float
    grey_hu: float
    white_hu: float
    csf_hu: float
    skull: float
    scalp_mm: float


@dataclass(frozen=True)
class Head:
    """A person in the scanner: ``pose`` (4×4) maps world coordinates (RAS, mm) to unscaled head coordinates."""

    anatomy: Anatomy
    shape: Shape
    pose: np.ndarray
    parameters: dict[str, object] = field(default_factory=dict)

    @property
    def affine(self) -> np.ndarray:
        """World (RAS, mm) to MNI before the smooth deformation, 4×4."""
        scaling = np.eye(4)
        scaling[:3, :3] = np.diag(1 / self.shape.scale)
        scaling[:3, 3] = HEAD_CENTRE_MNI
        return scaling @ self.pose

    def to_mni(self, matrix: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Map voxel ``index`` (3, n) of a grid with affine ``matrix`` (voxel to world, RAS) to MNI points (3, n)."""
        whole = self.affine @ matrix
        points = (whole[:3, :3].astype(np.float32) @ index) + whole[:3, 3:].astype(np.float32)
        relative = points - VENTRICLES_MNI[:, None].astype(np.float32)
        squared = (relative**2).sum(axis=0) / np.float32(2 * VENTRICLE_RADIUS_MM**2)
        shift = [self.shape.warp.sample(axis, points) for axis in "xyz"]
        return points - np.float32(self.shape.ventricles) * np.exp(-squared) * relative + np.stack(shift)


def draw_shape(rng: np.random.Generator) -> Shape:
    """Draw a person: MNI152 brains are large, real ones some 10 % smaller."""
    scale = 0.92 * np.exp(rng.normal(0, 0.025)) * np.exp(rng.normal(0, [0.02, 0.025, 0.02]))
    return Shape(
        scale=np.clip(scale, 0.84, 1.0),
        warp=_draw_warp(rng),
        ventricles=float(rng.uniform(-0.1, 0.3)),
        grey_hu=float(rng.normal(38, 0.8)),
        white_hu=float(rng.normal(30, 0.8)),
        csf_hu=float(rng.uniform(5, 8)),
        skull=float(rng.uniform(0.85, 1.2)),
        scalp_mm=float(rng.uniform(-1.0, 1.5)),
    )


def draw_pose(rng: np.random.Generator, tilt_degrees: float) -> tuple[np.ndarray, dict[str, object]]:
    """Draw how the head lies in the scanner.

    A gantry is tilted because the patient cannot bend the neck enough, so the head is pitched along with the tilt.

    Returns
    -------
    4×4 matrix from world (RAS, mm) to head coordinates whose origin is the middle of the brain; angles and position.
    """
    pitch = rng.normal(0, 4) + 0.8 * tilt_degrees
    roll, yaw = np.clip(rng.normal(0, [4.0, 5.0]), -9, 9)
    position = rng.normal(0, [5.0, 6.0, 15.0])
    pose = rigid((pitch, roll, yaw), np.zeros(3)) @ rigid((0, 0, 0), -position)
    angles = {"pitch_degrees": float(pitch), "roll_degrees": float(roll), "yaw_degrees": float(yaw)}
    return pose, {**angles, "position_mm": [float(value) for value in position]}


def rigid(angles_degrees: tuple[float, float, float], translation: np.ndarray) -> np.ndarray:
    """4×4 rigid motion: rotations about x, then y, then z, then ``translation`` (mm)."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(angles_degrees)):
        turn = np.eye(3)
        i, j = [other for other in range(3) if other != axis]
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix[:3, :3] = turn @ matrix[:3, :3]
    matrix[:3, 3] = translation
    return matrix


def smooth_noise(rng: np.random.Generator, scale_mm: float) -> np.ndarray:
    """Smooth random field on the warp's lattice, unit standard deviation; correlation length about ``scale_mm``."""
    shape = np.ceil((UPPER_MM - LOWER_MM) / LATTICE_MM).astype(int) + 1
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), scale_mm / LATTICE_MM, mode="nearest")
    return (noise / noise.std()).astype(np.float32)


def lattice(values: dict[str, np.ndarray]) -> Field:
    """Field over fields of `smooth_noise`."""
    return Field(values, LATTICE_MM, LOWER_MM)


def _draw_warp(rng: np.random.Generator) -> Field:
    warp = {axis: 2.2 * smooth_noise(rng, 32.0) + 0.7 * smooth_noise(rng, 14.0) for axis in "xyz"}
    nodes = np.indices(warp["x"].shape, np.float32) * LATTICE_MM + LOWER_MM[:, None, None, None].astype(np.float32)
    # Petalia: most brains reach further forward on the right and further back on the left.
    warp["y"] = warp["y"] - np.float32(rng.normal(1.5, 1.0)) * np.tanh(nodes[0] / 25) * np.abs(nodes[1] + 18) / 90
    return lattice(warp)
