"""Slices that a series may have lost at its ends, where no gap tells of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workflow_scripts.common.dicom.headers import Image
from workflow_scripts.common.dicom.series import Limits, Refusal, Series
from workflow_scripts.common.transform import RAS_LPS

PERPENDICULAR = 0.1  # cosine
FEW = 3  # images of a series of their own, whose identifiers may be damaged


def with_losses(series: Sequence[Series], damaged: Sequence[Path], limits: Limits) -> list[Series]:
    """Count what each series may have lost, and refuse it beyond the limit of missing slices.

    That are files beside its own that are damaged, as far as no gap inside the stack accounts for them, and images of
    the same identifiers that differ in size, direction or reconstruction and lie beyond its ends.
    """
    return [_with_losses(one, series, damaged, limits) if one.stack and not one.refusal else one for one in series]


def _with_losses(one: Series, series: Sequence[Series], damaged: Sequence[Path], limits: Limits) -> Series:
    folders = {image.path.parent for image in one.images}
    beside = sum(path.parent in folders for path in damaged)
    others = [other for other in series if other is not one]
    unlike = sum(_beyond(one, other.images) for other in others)
    lost = max(0, beside - one.missing) + unlike
    if lost + one.missing <= limits.max_missing_slices:
        return replace(one, lost=lost)
    reason = f"{lost} files beside it are damaged or unlike the others, and {one.missing} slices are missing"
    remedy = "fetch the images again; in a study, ingest.max_missing_slices can be raised."
    return replace(one, lost=lost, refusal=Refusal(reason, remedy))


def _across(one: Series, image: Image) -> bool:
    """Say whether an image lies across the slices of a series, as a localizer does that is not called one."""
    if image.orientation is None:
        return False
    normal = RAS_LPS[:3, :3] @ np.cross(image.orientation[:3], image.orientation[3:])
    return abs(np.linalg.norm(normal) - 1) < PERPENDICULAR and abs(normal @ one.stack.normal) < PERPENDICULAR


def _beyond(one: Series, others: Sequence[Image]) -> int:
    """Count images with the identifiers of a series, or few of its size, most of which lie beyond its ends."""
    first = one.images[0]
    same_series = (first.series, first.number) == (others[0].series, others[0].number)
    if (
        first.scout != others[0].scout
        or _across(one, others[0])
        or not (same_series or (len(others) <= FEW and first.size == others[0].size))
    ):
        return 0
    placed = [image.position for image in others if image.position is not None]
    if not placed:
        return len(others)
    heights = (np.array(placed) @ RAS_LPS[:3, :3].T - one.stack.origins[0]) @ one.stack.normal
    outside = (heights < -one.gap_mm / 2) | (heights > one.stack.heights[-1] + one.gap_mm / 2)
    return int(outside.sum()) if outside.mean() > 0.5 else 0
