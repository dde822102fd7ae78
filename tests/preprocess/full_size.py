"""Full-size heads with a known brain, from the project's phantom generator: what skull stripping is measured on."""

from dataclasses import dataclass

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.body.anatomy import Anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import upright_grid
from workflow_scripts.phantom.scanner.defects import add_head_rest
from workflow_scripts.phantom.scanner.images import render
from workflow_scripts.phantom.scanner.scan import build_patient

BONE_HU, SCAR_HU = 150.0, 40.0


@dataclass(frozen=True)
class FullSizeHead:
    """A CT in HU, its true brain (boolean) and the infarct in it (boolean), all on one upright grid."""

    ct: Volume
    brain: np.ndarray
    lesion: np.ndarray


def full_size_head(
    anatomy: Anatomy, cohort: str, case: str, *, defect_mm: float | None, seed: int, voxel_mm: float = 1.0
) -> FullSizeHead:
    """Make the head of a case of the phantom cohorts, upright, on isotropic voxels, with noise and head rest.

    With ``defect_mm`` the vault has a hole of that radius, filled with scar, over the left or right convexity.
    """
    plan = plan_case(cohort, case, seed)
    patient = build_patient(anatomy, plan)
    grid = upright_grid(patient, voxel_mm, voxel_mm)
    measures = {"hu": images.ct(), "brain": images.brain(), "lesion": images.infarct()}
    found = render(patient, measures, grid.shape, grid.affine)
    hu, brain = found["hu"], found["brain"].data > 0
    rng = plan.case_rng("ncct")
    if defect_mm is not None:
        hu = hu.with_data(_with_hole(hu, brain, defect_mm, right=bool(plan.number % 2)))
    noisy = add_head_rest(hu, patient.head) + images.ct_noise(grid.shape, grid.spacing, rng)
    ct = hu.with_data(np.rint(np.clip(noisy, -1024, 3071)).astype(np.float32))
    return FullSizeHead(ct, brain, found["lesion"].data >= 0.5)


def _with_hole(hu: Volume, brain: np.ndarray, radius_mm: float, *, right: bool) -> np.ndarray:
    """Replace bone by scar around the point of the brain's surface that lies sideways and upwards of its middle."""
    points = np.argwhere(brain) * hu.spacing
    relative = points - points.mean(axis=0)
    direction = np.array([1.0 if right else -1.0, 0.3, 0.8])
    centre = points[(relative @ direction).argmax()]
    index = np.indices(hu.data.shape, np.float32)
    squared = sum((axis * step - c) ** 2 for axis, step, c in zip(index, hu.spacing, centre, strict=True))
    return np.where((squared < radius_mm**2) & (hu.data > BONE_HU), np.float32(SCAR_HU), hu.data)
