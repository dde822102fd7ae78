"""Affine registration of two brains that is tried again from another start when the result cannot be right."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.registration.intensities import registration_mask
from workflow_scripts.preprocess.registration.plausibility import (
    AffineLimits,
    affine_facts,
    doubts,
    information_gain,
    overlap,
)
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.preprocess.voxels.grids import coarsened

# Degrees about the patient's left-right axis: how far the chin is down differs most from scan to scan. Elastix itself
# starts with the centres of gravity on each other.
STARTS_DEGREES = (0.0, 25.0, -25.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Brain:
    """A stripped image, ready to be registered, and its brain mask (boolean), on one grid."""

    image: Volume
    mask: np.ndarray

    @classmethod
    def of(cls, image: Volume, mask: np.ndarray, grid_mm: float) -> "Brain":
        """Average a finer grid to about ``grid_mm``."""
        share = coarsened(image.with_data(mask), grid_mm)
        return cls(coarsened(image, grid_mm), share.data >= 0.5)


def register_brains(
    fixed: Brain, moving: Brain, settings: RegistrationSettings, limits: AffineLimits
) -> tuple[np.ndarray, dict[str, Any]]:
    """Find the affine that maps points of ``fixed`` to points of ``moving`` (4×4, RAS+, mm), and facts about it.

    The first start whose result lies within ``limits`` is taken; when none does, the one that tells most about the
    other image, with its doubts among the facts. Raises `InputError` when elastix gives up.
    """
    # Loading elastix takes longer than all else here, and aligned images do without it.
    from workflow_scripts.preprocess.registration.elastix import register_affine

    mask = registration_mask(fixed.mask, fixed.image.spacing, settings.mask_margin_mm)
    tries = []
    for degrees in STARTS_DEGREES:
        turn = _pitch_about(_centre(moving), degrees)
        turned = Volume(moving.image.data, turn @ moving.image.affine)
        matrix = np.linalg.inv(turn) @ register_affine(fixed.image, mask, turned, settings)
        facts = judged(fixed, moving, mask, matrix, settings, limits) | {"start_pitch_degrees": degrees}
        if not facts["doubts"]:
            return matrix, facts
        log.warning("Implausible when started with a pitch of %g degrees: %s", degrees, ", ".join(facts["doubts"]))
        tries.append((matrix, facts))
    return max(tries, key=lambda tried: tried[1]["mutual_information"]["after"])


def judged(
    fixed: Brain,
    moving: Brain,
    mask: np.ndarray,
    matrix: np.ndarray,
    settings: RegistrationSettings,
    limits: AffineLimits,
) -> dict[str, Any]:
    """Describe an affine from ``fixed`` to ``moving``; the information is that inside ``mask``, on the fixed grid."""
    facts = affine_facts(matrix) | {
        "mutual_information": information_gain(fixed.image, mask, moving.image, matrix, settings.metric_bins),
        "overlap_dice": overlap(fixed.image.with_data(fixed.mask), moving.image.with_data(moving.mask), matrix),
    }
    return facts | {"doubts": doubts(facts, limits)}


def _centre(brain: Brain) -> np.ndarray:
    return (brain.image.affine @ [*np.argwhere(brain.mask).mean(axis=0), 1])[:3] if brain.mask.any() else np.zeros(3)


def _pitch_about(centre: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[cosine, -sine], [sine, cosine]]
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix
