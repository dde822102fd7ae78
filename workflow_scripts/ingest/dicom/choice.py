"""Which series of a study is its non-contrast soft-tissue CT of the head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_scripts.common.dicom.computed import ESTIMATES
from workflow_scripts.common.dicom.examinations import of_one_examination
from workflow_scripts.common.dicom.grouping import find_series
from workflow_scripts.common.dicom.headers import Folder, read_images
from workflow_scripts.common.dicom.series import Limits, Series, judge
from workflow_scripts.common.errors import InputError
from workflow_scripts.ingest.dicom.losses import with_losses

NUMBER = "column ncct_series of the case sheet; --series for a single new patient"
HEAD_MM = 150.0  # from skull base to vertex: more than this shows more neck, not more head


@dataclass(frozen=True)
class Criterion:
    """One step of the choice: series whose score is below ``share`` of the best one's are left out as ``lost``."""

    lost: str
    score: Callable[[Series], float]
    share: float = 1.0


CRITERIA = (
    Criterion("not axial, unlike", lambda series: float(series.plane == "axial")),
    Criterion("computed or by a flat panel, unlike", lambda series: float(not series.images[0].computed)),
    Criterion("sharper kernel than", lambda series: {"soft": 2.0, "unknown": 1.0, "sharp": 0.0}[series.kernel]),
    Criterion("covers less of the head than", lambda series: min(series.coverage_mm, HEAD_MM), share=0.9),
    Criterion("lacks more slices than", lambda series: 1 / (1 + series.missing + series.lost)),
    Criterion("slices farther apart than", lambda series: 1 / series.gap_mm, share=0.95),
    Criterion("derived or lossy, unlike", lambda series: float(all(image.original for image in series.images))),
)


def find_ncct(folder: Path, limits: Limits, number: int | None) -> tuple[Folder, Series, list[dict[str, Any]]]:
    """Read the headers below ``folder`` and choose a CT series; return what was found, then as `choose_series`."""
    found = read_images(folder)
    series = [judge(group, "CT", limits) for group in find_series(found, "CT", limits.min_slices)]
    return found, *choose_series(with_losses(series, found.damaged, limits), number)


def choose_series(series: Sequence[Series], number: int | None) -> tuple[Series, list[dict[str, Any]]]:
    """Choose one series and record every candidate.

    Contrast medium rules a series out, and so does what is no CT in HU. Then the criteria of `CRITERIA` decide one
    after the other. ``number``, the user's word, leaves the series of that number only, whatever its words say.

    Returns the chosen series and one record a candidate: number, images, what the criteria saw, and the decision.
    Raises `InputError` where no series can be used, several are equally good, or they were taken at different times.
    """
    decisions = [_first_decision(one, number) for one in series]
    left = [index for index, decision in enumerate(decisions) if not decision]
    if not left:
        raise _none_usable(series, decisions, number)
    if not of_one_examination([series[index].images for index in left]):
        raise _several_examinations([series[index] for index in left], number)
    for criterion in CRITERIA:
        scores = {index: criterion.score(series[index]) for index in left}
        best = max(left, key=scores.__getitem__)
        for index in left:
            if scores[index] < criterion.share * scores[best]:
                decisions[index] = f"{criterion.lost} series {series[best].number}"
        left = [index for index in left if not decisions[index]]
    if len(left) > 1:
        raise _equally_good([series[index] for index in left], number)
    chosen = left[0]
    decisions[chosen] = "chosen"
    return series[chosen], [_record(one, decision) for one, decision in zip(series, decisions, strict=True)]


def _first_decision(series: Series, number: int | None) -> str:
    if series.refusal:
        return series.refusal.reason
    if number is not None:
        return "" if series.number == number else f"not series {number}"
    first = series.images[0]
    if first.contrast:
        return "contrast medium"
    return "" if first.computed in ESTIMATES else first.computed


def _none_usable(series: Sequence[Series], decisions: Sequence[str], number: int | None) -> InputError:
    asked = [index for index, one in enumerate(series) if number in (None, one.number)]
    if not asked:
        there = ", ".join(sorted({str(one.number) for one in series}))
        return InputError(f"The DICOM folder has no series {number}, only {there}.", f"correct {NUMBER}.")
    reasons = "; ".join(f"series {series[index].number}: {decisions[index]}" for index in asked)
    largest = max((series[index] for index in asked), key=lambda one: len(one.images))
    remedy = (
        largest.refusal.remedy
        if largest.refusal
        else f"give a folder with the non-contrast series, or, if one was marked by mistake, its number ({NUMBER})."
    )
    return InputError(f"No series of the DICOM folder can be used ({reasons}).", remedy)


def _several_examinations(series: Sequence[Series], number: int | None) -> InputError:
    shown = ", ".join(str(one.number) for one in series)
    return InputError(
        f"The DICOM folder holds examinations of different times: series {shown}.",
        _by_number(series, number) + "put the images of the right examination into a folder of their own.",
    )


def _by_number(series: Sequence[Series], number: int | None) -> str:
    told_apart = number is None and len({one.number for one in series}) == len(series)
    return f"give the number of the right one ({NUMBER}), or " if told_apart else ""


def _equally_good(series: Sequence[Series], number: int | None) -> InputError:
    shown = " and ".join(
        f"series {one.number} ({len(one.images)} slices of {one.stack.columns} × {one.stack.rows}, "
        f"{one.gap_mm:.2f} mm apart, kernel {one.kernel})"
        for one in series
    )
    return InputError(
        f"Equally good in the DICOM folder: {shown}.",
        _by_number(series, number) + "put its images into a folder of their own.",
    )


def _record(series: Series, decision: str) -> dict[str, Any]:
    first = series.images[0]
    record: dict[str, Any] = {
        "number": series.number,
        "images": len(series.images),
        "size": list(first.size),
        "modality": series.modality,
        "kernel": series.kernel,
        "maker": first.maker,
        "contrast": first.contrast,
        "computed": first.computed,
        "thickness_mm": first.thickness_mm,
        "original": all(image.original for image in series.images),
        "decision": decision,
    }
    if series.stack:
        record |= {
            "plane": series.plane,
            "gap_mm": round(series.gap_mm, 3),
            "coverage_mm": round(series.coverage_mm, 1),
            "missing_slices": series.missing,
            "lost_at_the_ends": series.lost,
        }
    return record
