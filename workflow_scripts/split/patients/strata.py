"""Patients and the strata that the split balances (paper 3.1.1)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.common.errors import InputError

UNLABELLED = "unlabelled"
LESION_FREE = "lesion-free"
STANDARD_MIXED = "mixed"


@dataclass(frozen=True)
class SplitCase:
    """What the split knows of one case; side and volume are None where there is no lesion mask."""

    cohort: str
    patient: str
    case: str
    side: str | None
    lesion_ml: float | None
    label_standard: str
    fixed: str
    pixel_digest: str
    final_digest: str


@dataclass(frozen=True)
class Patient:
    """The cases of one patient of one cohort, taken together; ``fixed`` is a split that the case sheet decides."""

    cohort: str
    patient: str
    side: str | None
    lesion_ml: float | None
    label_standard: str
    fixed: str


def gather_patients(cases: Sequence[SplitCase]) -> list[Patient]:
    """Take the cases of each patient together, sorted by cohort and patient.

    Lesions on both sides make a patient bilateral. Its volume is that of its largest case, not the sum: two scans of
    a patient mostly show the same lesion. Raises `InputError` when the case sheet puts one patient on two sides.
    """
    groups: dict[tuple[str, str], list[SplitCase]] = defaultdict(list)
    for case in cases:
        groups[case.cohort, case.patient].append(case)
    return [_gather(cohort, patient, members) for (cohort, patient), members in sorted(groups.items())]


def stratify(patients: Sequence[Patient], size_strata: int) -> list[str]:
    """Name the stratum of each patient of one cohort.

    Patients with a lesion: side × quantile of the lesion volume within the cohort × label standard. The quantiles are
    rounded to two digits, so that a patient more or less seldom changes the stratum of another. Patients known to have
    no lesion, and patients without a mask, are a stratum each.
    """
    volumes = np.array([patient.lesion_ml for patient in patients if _has_lesion(patient)], float)
    quantiles = np.quantile(volumes, np.arange(1, size_strata) / size_strata) if volumes.size else []
    cuts = np.array([float(f"{quantile:.1e}") for quantile in quantiles])
    return [_stratum(patient, cuts, size_strata) for patient in patients]


def _gather(cohort: str, patient: str, members: Sequence[SplitCase]) -> Patient:
    fixed = sorted({case.fixed for case in members if case.fixed})
    if len(fixed) > 1:
        names = ", ".join(f"{case.case} ({case.fixed})" for case in members if case.fixed)
        raise InputError(
            f"Patient {cohort}/{patient} is on two sides in the case sheet: {names}.",
            "give all cases of a patient the same value in column split.",
        )
    sides = {case.side for case in members if case.side}
    lesion_sides = sides - {"none"}
    side = next(iter(lesion_sides)) if len(lesion_sides) == 1 else "bilateral" if lesion_sides else None
    standards = {case.label_standard for case in members if case.label_standard}
    volumes = [case.lesion_ml for case in members if case.lesion_ml is not None]
    return Patient(
        cohort=cohort,
        patient=patient,
        side=side or ("none" if sides else None),
        lesion_ml=max(volumes, default=None),
        label_standard=standards.pop() if len(standards) == 1 else STANDARD_MIXED if standards else "",
        fixed=fixed[0] if fixed else "",
    )


def _has_lesion(patient: Patient) -> bool:
    return patient.lesion_ml is not None and patient.lesion_ml > 0


def _stratum(patient: Patient, cuts: np.ndarray, size_strata: int) -> str:
    if _has_lesion(patient):
        size = int(np.searchsorted(cuts, patient.lesion_ml, side="left")) + 1
        parts = [patient.side or "side-unknown", f"size-{size}-of-{size_strata}", patient.label_standard]
        return " ".join(part for part in parts if part)
    return UNLABELLED if patient.lesion_ml is None and patient.side != "none" else LESION_FREE
