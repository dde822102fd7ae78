"""Grids that scanners lay over a head."""

from dataclasses import dataclass

import numpy as np

from workflow_scripts.phantom.body.subject import HEAD_CENTRE_MNI
from workflow_scripts.phantom.scanner.images import Patient

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Grid:
    """Voxels (column, row, slice) and their ``affine`` to world coordinates RAS in mm, shear allowed."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxels along each axis in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def ct_grid(
    patient: Patient, voxel_mm: float, slice_mm: float, tilt_degrees: float, field_mm: float, below_mm: float = 6.0
) -> Grid:
    """Axial CT as DICOM stores it: columns to the left, rows to the back, slices upwards along the table.

    With a tilted gantry the rows follow the gantry, but the table still moves along z: the stack is sheared.
    """
    tilt = np.deg2rad(tilt_degrees)
    axes = np.eye(4)
    axes[:3, 0] = [voxel_mm, 0, 0]
    axes[:3, 1] = [0, voxel_mm * np.cos(tilt), voxel_mm * np.sin(tilt)]
    axes[:3, 2] = [0, 0, slice_mm]
    return _cover(LPS_RAS @ axes, patient, (field_mm, field_mm), (below_mm, 16.0))


def upright_grid(patient: Patient, voxel_mm: float, slice_mm: float) -> Grid:
    """Grid along the world axes RAS that holds the whole head above the skull base; the truth is drawn on it."""
    return _cover(np.diag([voxel_mm, voxel_mm, slice_mm, 1.0]), patient, (230.0, 260.0), (12.0, 20.0))


def mri_grid(patient: Patient, motion: np.ndarray, voxel_mm: float, slice_mm: float, oblique: np.ndarray) -> Grid:
    """MRI of the head after ``motion`` (4×4, CT world to MRI world), slices turned by ``oblique`` (4×4)."""
    axes = oblique @ LPS_RAS @ np.diag([voxel_mm, voxel_mm, slice_mm, 1.0])
    grid = _cover(np.linalg.inv(motion) @ axes, patient, (220.0, 230.0), (2.0, 8.0))
    return Grid(grid.shape, motion @ grid.affine)


def _cover(axes: np.ndarray, patient: Patient, field_mm: tuple[float, float], margin_mm: tuple[float, float]) -> Grid:
    """Grid with the given axes, in-plane field of view and margins below and above the brain."""
    points = _brain_points(patient)
    index = np.linalg.inv(axes) @ points
    low, high = index[:3].min(axis=1), index[:3].max(axis=1)
    spacing = np.linalg.norm(axes[:3, :3], axis=0)
    columns, rows = (2 * int(np.ceil(field / step / 2)) for field, step in zip(field_mm, spacing[:2], strict=True))
    bottom, top = low[2] - margin_mm[0] / spacing[2], high[2] + margin_mm[1] / spacing[2]
    slices = int(np.ceil(top - bottom)) + 1
    middle = (low + high)[:2] / 2
    start = np.array([middle[0] - (columns - 1) / 2, middle[1] - (rows - 1) / 2, bottom])
    affine = axes.copy()
    affine[:3, 3] = axes[:3, :3] @ start + axes[:3, 3]
    # Three decimals, as positions in DICOM files have them: the mask's affine and the series then agree exactly.
    affine[:3, 3] = np.round(affine[:3, 3], 3)
    return Grid((columns, rows, slices), affine)


def _brain_points(patient: Patient) -> np.ndarray:
    """Some points near the brain's surface in the world of the CT, homogeneous (4, n)."""
    axes = np.array([70.0, 88.0, 76.0])
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 13), np.linspace(0, 2 * np.pi, 24, endpoint=False))
    ball = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]).reshape(3, -1)
    mni = HEAD_CENTRE_MNI[:, None] + ball * axes[:, None]
    return np.linalg.inv(patient.head.affine) @ np.vstack([mni, np.ones(mni.shape[1])])
