"""Pairs of NCCT and MRI of one phantom head, with the affine between them known."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from workflow_scripts.common.volume import Volume, resample
from workflow_scripts.phantom.body.anatomy import Anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.body.subject import rigid
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import Grid, ct_grid, mri_grid
from workflow_scripts.phantom.scanner.defects import rician
from workflow_scripts.phantom.scanner.images import Patient, render
from workflow_scripts.phantom.scanner.scan import build_patient
from workflow_scripts.preprocess.voxels.grids import resample_isotropic

MAX_ROTATION_DEGREES, MAX_SHIFT_MM, MAX_SCALE = 15.0, 20.0, 0.05
FIELD_MM = 200.0  # holds the brain, and that is all which is left after stripping
MRI_BORDER_MM = 1.0
BACKGROUND_HU = -100


@dataclass(frozen=True)
class Pair:
    """What the registration gets, and the truth.

    ``ncct`` (HU, −100 outside) and ``mri`` (0 outside) are stripped and isotropic; ``brain`` is the mask of the NCCT.
    ``drawn`` is the infarct on the acquired grid of the MRI, ``infarct`` the same on the NCCT, both boolean.
    ``mri_to_ncct`` is 4×4, RAS+, mm.
    """

    name: str
    ncct: Volume
    brain: np.ndarray
    mri: Volume
    drawn: Volume
    infarct: Volume
    mri_to_ncct: np.ndarray


def make_pair(anatomy: Anatomy, number: int, share: float, spacing_mm: float, seed: int = 2023) -> Pair:
    """Scan one head twice; contrast and slice thickness of both scans follow from ``number``.

    Between the scans the head turns about any axis and shifts, by ``share`` of what is allowed at most, and grows or
    shrinks along each axis, as scanners with uncalibrated gradients make it.
    """
    plan = plan_case("AISD", f"A{number + 1:02d}", seed)
    plan = replace(plan, tilt_degrees=0.0)
    patient = build_patient(anatomy, plan)
    rng = np.random.default_rng([seed, number])
    contrast = ("dwi", "adc")[number % 2]
    mri_slice_mm, ct_slice_mm = ((2.0, 5.0)[number // step % 2] for step in (2, 4))
    ct, brain, infarct = scan_ct(patient, ct_slice_mm, spacing_mm, rng)
    motion = _motion(rng, share, _centre(brain))
    moved = replace(patient, head=replace(patient.head, pose=patient.head.pose @ np.linalg.inv(motion)))
    turn = rng.normal(0, 2.0, 3)
    oblique = rigid((turn[0], turn[1], turn[2]), np.zeros(3))
    grid = mri_grid(patient, motion, max(spacing_mm, 2.0), mri_slice_mm, oblique)
    mri = _scan_mri(moved, contrast, grid, spacing_mm, rng)
    drawn = _draw(moved, grid, infarct, motion)
    name = f"{contrast} {mri_slice_mm:.0f} mm, CT {ct_slice_mm:.0f} mm"
    stripped = ct.with_data(np.where(brain.data, ct.data, np.float32(BACKGROUND_HU)))
    return Pair(name, stripped, brain.data, mri, drawn, infarct, np.linalg.inv(motion))


def target_errors(pair: Pair, mri_to_ncct: np.ndarray) -> np.ndarray:
    """Distance in mm between where two affines put a point of the MRI, for every tenth voxel of the brain."""
    voxels = np.argwhere(pair.brain)[::10]
    points = pair.ncct.affine @ np.column_stack([voxels, np.ones(len(voxels))]).T
    return np.linalg.norm((mri_to_ncct @ np.linalg.inv(pair.mri_to_ncct) @ points - points)[:3], axis=0)


def scan_ct(
    patient: Patient, slice_mm: float, spacing_mm: float, rng: np.random.Generator
) -> tuple[Volume, Volume, Volume]:
    """Scan a head in slices, resample it; NCCT in HU, brain mask and infarct (boolean) on its isotropic grid."""
    grid = ct_grid(patient, max(spacing_mm, 1.0), slice_mm, 0.0, FIELD_MM)
    hu = render(patient, {"hu": images.ct()}, grid.shape, grid.affine)["hu"]
    noisy = hu.with_data(np.rint(hu.data + images.ct_noise(grid.shape, grid.spacing, rng)))
    ct = resample_isotropic(noisy, spacing_mm, antialias=True, background=-1024)
    masks = render(patient, {"brain": images.brain(), "infarct": images.infarct()}, ct.data.shape, ct.affine)
    return ct, ct.with_data(masks["brain"].data > 0), ct.with_data(masks["infarct"].data >= 0.5)


def _scan_mri(patient: Patient, contrast: str, grid: Grid, spacing_mm: float, rng: np.random.Generator) -> Volume:
    """Stripped isotropic MRI."""
    measures = {"signal": {"dwi": images.dwi, "adc": images.adc}[contrast](), "brain": images.brain()}
    found = render(patient, measures, grid.shape, grid.affine)
    noisy = rician(found["signal"].data, {"dwi": 14.0, "adc": 45.0}[contrast], rng)
    resampled = resample_isotropic(found["signal"].with_data(noisy), spacing_mm, antialias=True, background=0)
    brain = resample(found["brain"], resampled.data.shape, resampled.affine, order=1, background=-50)
    return resampled.with_data(np.where(brain.data > -MRI_BORDER_MM, resampled.data, 0))


def _draw(patient: Patient, grid: Grid, infarct: Volume, motion: np.ndarray) -> Volume:
    """Infarct on the slices of an MRI (the part of its grid that holds it): voxels of which it fills half or more.

    The share is a mean over points at most 1 mm apart. ``infarct`` is the same before ``motion``.
    """
    voxels = np.argwhere(infarct.data).T
    index = np.linalg.inv(grid.affine) @ motion @ infarct.affine @ np.vstack([voxels, np.ones(voxels.shape[1])])
    low, high = np.floor(index[:3].min(axis=1)).astype(int) - 1, np.ceil(index[:3].max(axis=1)).astype(int) + 1
    corner, shape, parts = np.eye(4), high - low + 1, np.ceil(grid.spacing - 1e-6).astype(int)
    corner[:3, 3] = low
    finer = np.diag([*(1 / parts), 1.0])
    finer[:3, 3] = (1 / parts - 1) / 2
    affine = grid.affine @ corner
    fine = render(patient, {"infarct": images.infarct()}, tuple(map(int, shape * parts)), affine @ finer)["infarct"]
    share = fine.data.reshape(np.stack([shape, parts], axis=1).ravel()).mean(axis=(1, 3, 5))
    return Volume(share >= 0.5, affine)


def _motion(rng: np.random.Generator, share: float, centre: np.ndarray) -> np.ndarray:
    axis, direction = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    turn = Rotation.from_rotvec(share * MAX_ROTATION_DEGREES * axis, degrees=True).as_matrix()
    motion = np.eye(4)
    motion[:3, :3] = turn @ np.diag(rng.uniform(1 - MAX_SCALE, 1 + MAX_SCALE, 3))
    motion[:3, 3] = centre - motion[:3, :3] @ centre + share * MAX_SHIFT_MM * direction
    return motion


def _centre(mask: Volume) -> np.ndarray:
    return (mask.affine @ [*np.argwhere(mask.data).mean(axis=0), 1])[:3]
