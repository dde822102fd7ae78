"""Accuracy of the mirrored image on full-size heads whose mid-sagittal plane is known. Run with `make bench`.

The built template and the phantoms come from the same MNI152 maps, so that it fits them better than patients.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from tests.preprocess.pairs import BACKGROUND_HU, scan_ct
from tests.workflow import ROOT
from workflow_scripts.common.files import read_yaml
from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner.images import Patient
from workflow_scripts.phantom.scanner.scan import build_patient
from workflow_scripts.preprocess.contralateral import Mirror, mirror_by_midplane, mirror_by_template, mirrored_brain
from workflow_scripts.preprocess.registration.intensities import ct_for_registration
from workflow_scripts.preprocess.registration.midplane import Plane, plane_of
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.preprocess.template import built_template, tissue_map

HEADS = 12
MIDLINE_MM = 2.0  # MNI x of the voxels that the true plane is laid through
MOST_DEGREES, MOST_MM = 1.0, 1.0
LEAST_SHARE, LEAST_CASES = 0.9, 0.9


@dataclass(frozen=True)
class Result:
    """How well one head was mirrored.

    Angle and distance of the plane; distance of a brain's points from their homologous ones (mean, MNI mm); share of
    the infarct whose mirror lies in the brain and in the other hemisphere; correlation with the mirrored image, and
    with the plain flip of the array.
    """

    degrees: float
    plane_mm: float
    homologous_mm: float
    lesion_share: float
    mirrored: float
    flipped: float
    seconds: float

    def __str__(self) -> str:
        plane = f"{self.degrees:6.2f} {self.plane_mm:6.2f} {self.homologous_mm:8.2f}"
        return f"{plane} {100 * self.lesion_share:8.1f} {self.mirrored:8.3f} {self.flipped:6.3f} {self.seconds:5.1f}"


def bench_contralateral() -> None:
    anatomy = build_anatomy(1.0)
    preprocess = read_yaml(ROOT / "config.yaml")["preprocess"]
    values = preprocess["registration"]
    settings = RegistrationSettings(**values | {"window_hu": tuple(values["window_hu"])}, seed=1, threads=1)
    template, mask = built_template(tissue_map("gm"), tissue_map("wm"), preprocess["template"]["spacing_mm"])
    results: dict[str, list[Result]] = {"template": [], "midplane": []}
    print("\nhead  lesion mL  method    angle°  mm  homol. mm  lesion %  corr. mirrored, flipped   s")
    for number in range(HEADS):
        plan = replace(plan_case("AISD", f"A{number + 1:02d}", 2023), tilt_degrees=0.0)
        patient = build_patient(anatomy, plan)
        ct, brain, infarct = scan_ct(patient, (5.0, 2.0)[number % 2], 1.0, plan.case_rng("ncct"))
        stripped = ct.with_data(np.where(brain.data, ct.data, np.float32(BACKGROUND_HU)))
        head = ct_for_registration(stripped, brain.data, settings.window_hu, settings.background_hu)
        for method, found in results.items():
            start = time.process_time()
            if method == "template":
                mirror = mirror_by_template(head, brain.data, template, mask.data > 0, settings)
            else:
                mirror = mirror_by_midplane(head, brain.data)
            seconds = time.process_time() - start
            found.append(_judged(mirror, patient, stripped, brain.data, infarct.data, seconds))
            millilitres = np.count_nonzero(infarct.data) * ct.voxel_ml
            print(f"{plan.case:4}  {millilitres:9.1f}  {method:8} {found[-1]}", flush=True)
    for method, found in results.items():
        within = sum(one.degrees <= MOST_DEGREES and one.plane_mm <= MOST_MM for one in found)
        lesions = np.mean([one.lesion_share >= LEAST_SHARE for one in found])
        gain = min(one.mirrored - one.flipped for one in found)
        worst = f"{max(one.degrees for one in found):.2f}° and {max(one.plane_mm for one in found):.2f} mm at worst"
        print(f"{method}: plane within 1° and 1 mm in {within} of {len(found)}, {worst};", end=" ")
        better = sum(one.mirrored > one.flipped for one in found)
        print(
            f"lesion's mirror in place in {100 * lesions:.0f} %; more like the head than its flip in {better},", end=" "
        )
        print(f"least gain of correlation {gain:.3f}")
    ratio = np.mean([one.mirrored for one in results["template"]]) / np.mean(
        [one.flipped for one in results["template"]]
    )
    print(f"ratio of correlations, template to plain flip (reference): {ratio:.1f}")
    for found in results.values():
        assert np.mean([one.lesion_share >= LEAST_SHARE for one in found]) >= LEAST_CASES


def _judged(
    mirror: Mirror, patient: Patient, stripped: Volume, brain: np.ndarray, infarct: np.ndarray, seconds: float
) -> Result:
    affine, other = stripped.affine, mirror.ncct_to_counterpart
    voxels = np.argwhere(brain)[::20].T.astype(np.float32)
    across = np.linalg.inv(affine) @ other @ affine
    place, counterpart = patient.head.to_mni(affine, voxels), patient.head.to_mni(other @ affine, voxels)
    homologous = np.linalg.norm(place * [[-1], [1], [1]] - counterpart, axis=0).mean()
    true, plane = _true_plane(patient, brain, affine), plane_of(other, brain, affine)
    image = mirrored_brain(stripped, brain, other, BACKGROUND_HU).data
    return Result(
        degrees=float(np.degrees(np.arccos(min(true.normal @ plane.normal, 1.0)))),
        plane_mm=float(abs(plane.normal @ (true.point - plane.point))),
        homologous_mm=float(homologous),
        lesion_share=_share_in_place(patient, brain, infarct, affine, across),
        mirrored=_correlation(stripped.data, image, brain),
        flipped=_correlation(stripped.data, np.flip(stripped.data, 0), brain),
        seconds=seconds,
    )


def _true_plane(patient: Patient, brain: np.ndarray, affine: np.ndarray) -> Plane:
    """Lay a plane through the voxels of the brain whose MNI x is near 0, by least squares."""
    voxels = np.argwhere(brain).T.astype(np.float32)
    x = patient.head.to_mni(affine, voxels)[0]
    points = affine[:3, :3] @ voxels[:, np.abs(x) < MIDLINE_MM] + affine[:3, 3:]
    point = points.mean(axis=1)
    normal = np.linalg.svd(points - point[:, None], full_matrices=False)[0][:, -1]
    return Plane(point, normal * np.sign(normal[0]))


def _share_in_place(
    patient: Patient, brain: np.ndarray, infarct: np.ndarray, affine: np.ndarray, across: np.ndarray
) -> float:
    """Share of the infarct whose counterpart (``across``, voxel to voxel) is brain of the other hemisphere."""
    voxels = np.argwhere(infarct).T.astype(np.float32)
    own = patient.head.to_mni(affine, voxels)[0]
    other = patient.head.to_mni(affine @ across, voxels)[0]
    index = np.rint(across[:3, :3] @ voxels + across[:3, 3:]).astype(int)
    inside = ((index >= 0) & (index < np.array(brain.shape)[:, None])).all(axis=0)
    inside[inside] = brain[tuple(index[:, inside])]
    return float((inside & (own * other < 0)).mean())


def _correlation(first: np.ndarray, second: np.ndarray, brain: np.ndarray) -> float:
    """Correlate two brains where both are, in the window of soft tissue."""
    both = brain & (second > BACKGROUND_HU)
    return float(np.corrcoef(np.clip(first[both], 0, 80), np.clip(second[both], 0, 80))[0, 1])
