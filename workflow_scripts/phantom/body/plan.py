"""What each phantom patient is: pure functions of cohort, case name and seed.

A case never depends on how many others there are. What a study must contain for certain (sides, posterior strokes,
healthy controls, tilts of both signs, gold and silver labels) follows from the patient's number in fixed cycles;
everything else is drawn.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from workflow_scripts.common import seeds
from workflow_scripts.common.errors import InputError
from workflow_scripts.phantom.scanner.layouts import LAYOUTS, layout

SIDES = ("left", "right", "left", "right", "bilateral")
TILTS_DEGREES = (15.0, -12.0, 0.0, 18.0, -19.0, 0.0)
MEDIAN_ML = 22.0
LOG_SIGMA = 1.05
VOLUME_ML = (0.6, 120.0)  # the deformation of a head changes a volume by up to 20 %: they end between 0.5 and 150 mL
POSTERIOR_VOLUME_ML = (1.0, 35.0)
GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class LesionPlan:
    """One lesion: where, how large (mL) and how much darker on CT (HU, positive)."""

    side: str
    territory: str
    volume_ml: float
    contrast_hu: float


@dataclass(frozen=True)
class CasePlan:
    """What a case is before any image of it exists.

    ``number`` counts patients of the cohort from 0, ``repeat`` the scans of the patient from 0. ``tilt_degrees`` is
    the gantry tilt with the sign of DICOM (0018,1120).
    """

    cohort: str
    case: str
    patient: str
    number: int
    repeat: int
    seed: int
    tilt_degrees: float = 0.0
    stripped: bool = False
    label_standard: str = ""
    exclude: str = ""
    split: str = ""
    lesions: tuple[LesionPlan, ...] = ()

    @property
    def side(self) -> str:
        """Side of the lesions together: left, right, bilateral or none."""
        sides = {lesion.side for lesion in self.lesions}
        return "none" if not sides else sides.pop() if len(sides) == 1 else "bilateral"

    def patient_rng(self, purpose: str) -> np.random.Generator:
        """Generator for what all scans of the patient share, one for each purpose: ``lesions``, ``head``, ``sites``."""
        return seeds.generator(self.seed, f"{self.cohort} patient {purpose}", self.number)

    def case_rng(self, purpose: str) -> np.random.Generator:
        """Generator for what belongs to this scan, one for each purpose: ``pose``, or the name of an image."""
        return seeds.generator(self.seed, f"{self.cohort} case {purpose}", self.number, self.repeat)


def case_names(cohort: str, patients: int) -> list[str]:
    """Names of all cases of the first ``patients`` patients; every sixth patient of AISD was scanned twice."""
    width = max(2, len(str(patients)))
    names = []
    for number in range(patients):
        name = f"{layout(cohort).letter}{number + 1:0{width}d}"
        names.append(name)
        if cohort == "AISD" and number % 6 == 2:
            names.append(f"{name}-2")
    return names


def plan_case(cohort: str, case: str, seed: int) -> CasePlan:
    """Return the plan of one case; raises `InputError` when the name does not fit the cohort."""
    letter = layout(cohort).letter
    found = re.fullmatch(rf"({letter}\d+)(?:-(\d+))?", case)
    if found is None or int(found[1][1:]) < 1:
        raise InputError(
            f"{case!r} is not a case of the phantom cohort {cohort}.", f"name it like {letter}01, or {letter}01-2."
        )
    number = int(found[1][1:]) - 1
    plan = CasePlan(cohort, case, found[1], number, int(found[2] or 1) - 1, seed)
    return _styled(plan)


def _styled(plan: CasePlan) -> CasePlan:
    number = plan.number
    style: dict[str, Any] = {}
    if plan.cohort == "AISD":
        style["tilt_degrees"] = TILTS_DEGREES[(number + plan.repeat) % len(TILTS_DEGREES)]
        style["exclude"] = "motion artefact" if number % 6 == 5 else ""
        style["split"] = "test" if number % 8 == 4 else ""
    elif plan.cohort == "APIS":
        style["stripped"] = True
    elif plan.cohort == "icoAIS":
        style["tilt_degrees"] = {3: 14.0, 11: -16.0}.get(number % 16, 0.0)
    healthy = {"AISD": False, "APIS": number % 7 == 3, "icoAIS": number % 20 == 12, "CENTER-TBI": True}[plan.cohort]
    if not healthy:
        style["lesions"] = _lesions(plan)
    if plan.cohort == "icoAIS" and not healthy:
        style["label_standard"] = "gold" if number % 2 == 0 else "silver"
    return replace(plan, **style)


def _lesions(plan: CasePlan) -> tuple[LesionPlan, ...]:
    rng = plan.patient_rng("lesions")
    side = SIDES[plan.number % len(SIDES)]
    contrast = float(rng.uniform(6.0, 12.0))
    if plan.number % 9 == 8:
        return tuple(
            LesionPlan(str(rng.choice(_either(side))), "cortex", float(rng.uniform(0.6, 2.6)), max(4.0, contrast - 2))
            for _ in range(int(rng.integers(1, 4)))
        )
    territory = {5: "pca", 7: "cerebellum"}.get(plan.number % 9, "mca")
    # Volumes follow a low-discrepancy sequence, so that a small cohort has small, medium and large ones.
    quantile = (0.29 + plan.number * GOLDEN_RATIO + rng.uniform(-0.05, 0.05)) % 1.0
    volume = MEDIAN_ML * float(np.exp(LOG_SIGMA * NormalDist().inv_cdf(min(max(quantile, 0.01), 0.99))))
    volume = float(np.clip(volume, *(VOLUME_ML if territory == "mca" else POSTERIOR_VOLUME_ML)))
    if side == "bilateral":
        share = float(rng.uniform(0.35, 0.65))
        parts = [("left", share * volume), ("right", (1 - share) * volume)]
    else:
        parts = [(side, volume)]
    lesions = [LesionPlan(where, territory, max(part, 0.6), contrast) for where, part in parts]
    if rng.uniform() < 0.25:
        emboli = int(rng.integers(1, 4))
        lesions += [
            LesionPlan(str(rng.choice(_either(side))), "cortex", float(rng.uniform(0.6, 1.5)), contrast)
            for _ in range(emboli)
        ]
    return tuple(lesions)


def _either(side: str) -> list[str]:
    return ["left", "right"] if side == "bilateral" else [side]


def sheet_row(plan: CasePlan) -> Mapping[str, str]:
    """Row of the case sheet; paths start from the folder that holds the cohorts' folders."""
    names = layout(plan.cohort)
    where = f"{plan.cohort}/{plan.case}"
    lesion = names.files.get("lesion")
    return {
        "cohort": plan.cohort,
        "patient": plan.patient,
        "case": plan.case,
        "ncct": f"{where}/{names.files['ncct']}",
        "mri": ";".join(f"{where}/{names.files[modality]}" for modality in names.mri),
        "mri_modality": ";".join(modality.upper() for modality in names.mri),
        "lesion": f"{where}/{lesion}" if lesion else "",
        "lesion_space": "" if lesion is None else "ncct" if plan.cohort == "AISD" else "mri",
        "mri_aligned": "false" if names.mri else "",
        "stripped": {"APIS": "ncct;adc", "icoAIS": "dwi;adc"}.get(plan.cohort, ""),
        "label_standard": plan.label_standard,
        "side": plan.side if plan.cohort == "APIS" and plan.number % 2 == 1 else "",
        "split": plan.split,
        "exclude": plan.exclude,
    }


def plan_cohorts(patients: Mapping[str, int], seed: int) -> list[CasePlan]:
    """Plans of all cases, cohort by cohort in the order of `LAYOUTS`."""
    return [
        plan_case(cohort, case, seed)
        for cohort in LAYOUTS
        if patients.get(cohort)
        for case in case_names(cohort, patients[cohort])
    ]
