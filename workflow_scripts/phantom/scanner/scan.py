"""All images of one case, from its plan: the patient, the scans that the cohort has, and the truth about them."""

from dataclasses import dataclass, replace

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.body.anatomy import Anatomy
from workflow_scripts.phantom.body.lesions import build_lesions
from workflow_scripts.phantom.body.plan import CasePlan
from workflow_scripts.phantom.body.subject import Head, draw_pose, draw_shape, rigid
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import Grid, ct_grid, mri_grid, upright_grid
from workflow_scripts.phantom.scanner.defects import (
    add_head_rest,
    add_motion,
    bad_stripping,
    pad_outside_circle,
    rician,
)
from workflow_scripts.phantom.scanner.images import Patient, render
from workflow_scripts.phantom.scanner.layouts import layout

PADDING_HU = -3024
MOTION = {  # standard deviation of angles (degrees) and shifts (mm) between CT and MRI
    "AISD": (6.0, 10.0),
    "APIS": (1.5, 2.0),
    "icoAIS": (4.0, 8.0),
}


@dataclass(frozen=True)
class Scans:
    """Images of a case: ``ncct`` in HU on the acquired grid, MRI by modality, ``lesion`` on the grid it is drawn on."""

    ncct: Volume
    mri: dict[str, Volume]
    lesion: Volume | None
    mri_to_ncct: np.ndarray | None


@dataclass(frozen=True)
class Truth:
    """What is known about a case, on an upright grid in the world of the NCCT (RAS, mm)."""

    untilted: Volume
    brain_mask: Volume
    lesion_ncct: Volume
    midsagittal: dict[str, list[float]]
    parameters: dict[str, object]


def build_patient(anatomy: Anatomy, plan: CasePlan) -> Patient:
    """Draw head and lesions of a case; both are the same in every scan of a patient, the pose is not."""
    shape = draw_shape(plan.patient_rng("head"))
    pose, parameters = draw_pose(plan.case_rng("pose"), plan.tilt_degrees)
    head = Head(anatomy, shape, pose, parameters)
    volume = float(np.prod(shape.scale))
    return Patient(head, build_lesions(anatomy, plan.lesions, volume, plan.patient_rng("sites")))


def scan(patient: Patient, plan: CasePlan, voxel_mm: float, slice_mm: float) -> Scans:
    """Acquire what the cohort of ``plan`` has; spacings are nominal, the in-plane one of each CT departs a little."""
    on_ct = plan.cohort == "AISD"
    ncct, lesion = _scan_ct(patient, plan, voxel_mm, slice_mm)
    if plan.cohort == "CENTER-TBI":
        return Scans(ncct, {}, None, None)
    rng = plan.case_rng("motion")
    angle, shift = MOTION[plan.cohort]
    angles = np.clip(rng.normal(0, angle, 3), -2 * angle, 2 * angle)
    motion = rigid((angles[0], angles[1], angles[2]), rng.normal(0, shift, 3))
    turn = rng.normal(0, 2.0, 3)
    grid = mri_grid(patient, motion, voxel_mm, slice_mm, rigid((turn[0], turn[1], turn[2]), np.zeros(3)))
    mri, drawn_on_mri = _scan_mri(patient, plan, grid, motion)
    return Scans(ncct, mri, lesion if on_ct else drawn_on_mri, np.linalg.inv(motion))


def find_truth(patient: Patient, plan: CasePlan, voxel_mm: float, slice_mm: float) -> Truth:
    """Sample the truth of a case on an upright grid."""
    grid = upright_grid(patient, voxel_mm, slice_mm)
    measures = {"hu": images.ct(), "brain": images.brain(), "lesion": images.infarct()}
    found = render(patient, measures, grid.shape, grid.affine)
    mask = found["brain"].data > 0
    return Truth(
        untilted=found["hu"].with_data(np.rint(found["hu"].data)),
        brain_mask=found["brain"].with_data(mask),
        lesion_ncct=found["lesion"].with_data(found["lesion"].data >= 0.5),
        midsagittal=_midsagittal(patient, mask, grid),
        parameters=_parameters(patient, plan),
    )


def has_padding(plan: CasePlan) -> bool:
    """Say whether the scanner fills the corners of its round field of view with −3024, as some do."""
    return plan.cohort in ("AISD", "icoAIS") and plan.number % 3 == 1


def _scan_ct(patient: Patient, plan: CasePlan, voxel_mm: float, slice_mm: float) -> tuple[Volume, Volume]:
    """NCCT in HU and the infarct drawn on its grid."""
    rng = plan.case_rng("ncct")
    pixel = round(voxel_mm * float(rng.uniform(0.95, 1.05)), 4)
    field = float(rng.uniform(238, 250)) if plan.tilt_degrees else float(rng.uniform(226, 244))
    grid = ct_grid(patient, pixel, slice_mm, plan.tilt_degrees, field)
    measures = {"hu": images.ct(), "lesion": images.infarct(), "keep": bad_stripping(plan.case_rng("stripping"))}
    found = render(patient, measures, grid.shape, grid.affine)
    noise = images.ct_noise(grid.shape, grid.spacing, rng)
    if plan.stripped:
        hu = np.where(found["keep"].data > 0, found["hu"].data + noise, 0)
    else:
        hu = add_head_rest(found["hu"], patient.head)
        hu = np.clip((add_motion(hu, rng) if plan.exclude else hu) + noise, -1024, 3071)
        hu = pad_outside_circle(hu, PADDING_HU) if has_padding(plan) else hu
    return found["hu"].with_data(np.rint(hu)), found["lesion"].with_data(found["lesion"].data >= 0.5)


def _scan_mri(patient: Patient, plan: CasePlan, grid: Grid, motion: np.ndarray) -> tuple[dict[str, Volume], Volume]:
    """MRI by modality and the infarct drawn on their grid; ``motion`` maps the NCCT's world to the MRI's.

    Silver labels are a little too generous.
    """
    moved = replace(patient, head=replace(patient.head, pose=patient.head.pose @ np.linalg.inv(motion)))
    rng = plan.case_rng("mri")
    brain = bad_stripping(rng) if plan.cohort == "APIS" else images.brain()
    lesion = images.infarct(0.8 if plan.label_standard == "silver" else 0.0)
    signals = {name: {"dwi": images.dwi, "adc": images.adc}[name]() for name in layout(plan.cohort).mri}
    found = render(moved, {**signals, "brain": brain, "lesion": lesion}, grid.shape, grid.affine)
    keep = found["brain"].data > (-0.5 if plan.cohort != "AISD" else -np.inf)
    mri = {}
    for name in signals:
        data = rician(found[name].data, {"dwi": 14.0, "adc": 45.0}[name], rng)
        mri[name] = found[name].with_data(np.rint(np.where(keep, data, 0)))
    return mri, found["lesion"].with_data(found["lesion"].data >= 0.5)


def _midsagittal(patient: Patient, brain: np.ndarray, grid: Grid) -> dict[str, list[float]]:
    """Plane through the voxels of the brain whose MNI x is near 0, by least squares; the normal points to the right."""
    index = np.argwhere(brain).T.astype(np.float32)
    x = patient.head.to_mni(grid.affine, index)[0]
    world = (grid.affine[:3, :3] @ index[:, np.abs(x) < 2.0] + grid.affine[:3, 3:]).T
    centre = world.mean(axis=0)
    normal = np.linalg.svd(world - centre, full_matrices=False)[2][2]
    normal *= np.sign(normal[0])
    return {"point_mm": [float(value) for value in centre], "normal": [float(value) for value in normal]}


def _parameters(patient: Patient, plan: CasePlan) -> dict[str, object]:
    shape = patient.head.shape
    return {
        "cohort": plan.cohort,
        "patient": plan.patient,
        "case": plan.case,
        "seed": plan.seed,
        "tilt_degrees": plan.tilt_degrees,
        "side": plan.side,
        "lesions": [vars(lesion) for lesion in plan.lesions],
        "pose": patient.head.parameters,
        "scale": [float(value) for value in shape.scale],
        "ventricles": shape.ventricles,
        "hu": {"grey": shape.grey_hu, "white": shape.white_hu, "csf": shape.csf_hu},
        "world_to_mni_without_warp": patient.head.affine.tolist(),
    }
