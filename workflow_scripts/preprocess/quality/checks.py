"""How alarming the numbers of a case are, each on one scale: 0 is ideal, 1 is the limit beyond which it is flagged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HIGHEST = 10.0
SAME_HEAD_RATIO = 1.1
USUAL_SLICE_MM = 5.0
USUAL_LESION_SHARE, MOST_LESION_SHARE = 0.25, 0.5  # of the brain; infarcts of a hemisphere have less
MOST_GAP = 1.5  # times the thickness; where every other slice was left out it is 2
NO_HULL = 9.9  # stands for the excess of a mask without volume


@dataclass(frozen=True)
class QualityLimits:
    """Beyond these a case is flagged (config.yaml, preprocess.quality)."""

    min_cross_check_dice: float
    max_hull_excess: float
    brain_ml: tuple[float, float]
    max_tissue_beyond_mm: float
    max_end_share: float
    max_metal_ml: float
    max_skull_gap_cm2: float
    max_slice_mm: float
    max_mri_deformation_mm: float
    max_mri_offset_mm: float
    min_mri_side_ratio: float
    max_lesion_outside_brain: float
    min_lesion_darker_hu: float


def checks(numbers: Mapping[str, Any], limits: QualityLimits) -> list[dict[str, Any]]:
    """Judge the numbers of a case.

    Returns one entry for each number that the case has: ``flag``, the name of what is suspicious beyond the limit;
    ``value``; ``limit``; ``level``, how far the value lies on the way from its ideal to the limit, 10 at most.
    Registrations that are doubted have the number of doubts for a value, and a level of one more. How an MRI fits the
    mirrored NCCT says nothing where it is misplaced, and is left out there.
    """
    offset = numbers["mri_offset_mm"]
    misplaced = offset is not None and offset > limits.max_mri_offset_mm
    side_ratio = None if misplaced else numbers["mri_side_ratio"]
    deformation = None if numbers["registration"] is None else numbers["registration"]["deformation_mm"]
    low, high = limits.brain_ml
    middle = (low + high) / 2
    measured = [
        ("brain masks disagree", numbers["cross_check_dice"], 1.0, limits.min_cross_check_dice),
        (
            "brain mask not convex",
            NO_HULL if numbers["hull_excess"] is None else numbers["hull_excess"],
            0.0,
            limits.max_hull_excess,
        ),
        ("brain volume", numbers["brain_ml"], middle, low if numbers["brain_ml"] < middle else high),
        ("brain mask too small", numbers["tissue_beyond_mm"], 0.0, limits.max_tissue_beyond_mm),
        ("brain cut off", numbers["end_share"], 0.0, limits.max_end_share),
        ("metal near the brain", numbers["metal_ml"], 0.0, limits.max_metal_ml),
        ("skull defect", numbers["skull_gap_cm2"], 0.0, limits.max_skull_gap_cm2),
        ("thick slices", numbers["slice_mm"], USUAL_SLICE_MM, limits.max_slice_mm),
        ("gaps between slices", numbers["gap_over_thickness"], 1.0, MOST_GAP),
        ("MRI of another shape", deformation, 0.0, limits.max_mri_deformation_mm),
        ("MRI misplaced", offset, 0.0, limits.max_mri_offset_mm),
        ("MRI fits mirrored NCCT as well", side_ratio, SAME_HEAD_RATIO, limits.min_mri_side_ratio),
        ("lesion outside brain", numbers["lesion_outside_brain_fraction"], 0.0, limits.max_lesion_outside_brain),
        ("lesion of half the brain", _share(numbers), USUAL_LESION_SHARE, MOST_LESION_SHARE),
        ("lesion on the brighter side", numbers["lesion_darker_hu"], 0.0, limits.min_lesion_darker_hu),
    ]
    found = [
        _check(flag, value, limit, _level(value, ideal, limit))
        for flag, value, ideal, limit in measured
        if value is not None
    ]
    doubted = [
        ("mirroring implausible", numbers["contralateral"]),
        ("registration implausible", numbers["registration"]),
    ]
    for flag, registration in doubted:
        if registration is not None:
            doubts = len(registration["doubts"])
            found.append(_check(flag, doubts, 0, doubts + 1 if doubts else 0))
    counted = [
        ("no native CT", len(numbers["not_native"])),
        ("slices missing", numbers["missing_slices"]),
        ("header half broken", numbers["broken_forms"]),
        ("identity in the pixels", len(numbers["marks"])),
    ]
    return found + [_check(flag, count, 0, count + 1 if count else 0) for flag, count in counted]


def flags(judged: list[dict[str, Any]]) -> list[str]:
    """Name what lies beyond its limit, the most alarming first."""
    beyond = [check for check in judged if check["level"] > 1]
    return [check["flag"] for check in sorted(beyond, key=lambda check: -check["level"])]


def concern(judged: list[dict[str, Any]]) -> float:
    """Return the highest level: above 1 for a case with a flag."""
    return max((check["level"] for check in judged), default=0.0)


def _share(numbers: Mapping[str, Any]) -> float | None:
    lesion = numbers["lesion_ml"]
    return None if lesion is None else lesion / max(numbers["brain_ml"], 1.0)


def _level(value: float, ideal: float, limit: float) -> float:
    if limit == ideal:
        return 0.0 if value == ideal else HIGHEST
    return (value - ideal) / (limit - ideal)


def _check(flag: str, value: float, limit: float, level: float) -> dict[str, Any]:
    return {"flag": flag, "value": value, "limit": limit, "level": min(max(level, 0.0), HIGHEST)}
