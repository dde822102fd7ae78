"""Which series of a study is its DWI or its ADC map."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.dicom.diffusion import LEAST_B
from workflow_scripts.common.dicom.examinations import of_one_examination
from workflow_scripts.common.dicom.headers import Image
from workflow_scripts.common.dicom.series import missing_slices
from workflow_scripts.common.errors import InputError

RANK = {"dwi": {"dwi": 2, "unknown": 1}, "adc": {"adc": 2, "unknown": 1}}
FETCH = "fetch the missing images; in a study, ingest.max_missing_slices can be raised."


@dataclass(frozen=True)
class MrSeries:
    """Images of one MR series, all its b-values or those that `highest_b` leaves."""

    images: tuple[Image, ...]
    damaged: int = 0  # files beside them that were images

    @property
    def number(self) -> int | None:
        """SeriesNumber, None where missing."""
        return self.images[0].number

    @cached_property
    def kind(self) -> str:
        """Return adc, dwi, other or unknown; b = 0 images are of the kind of the others."""
        kinds = {image.diffusion for image in self.images}
        return next(kind for kind in ("adc", "dwi", "other", "unknown") if kind in kinds)

    @cached_property
    def b_values(self) -> list[float]:
        """The b-values in s/mm², ascending; empty where the headers name none."""
        return sorted({image.b_value for image in self.images if image.b_value is not None})

    @cached_property
    def highest_b(self) -> tuple[Image, ...]:
        """The images with the highest b-value; all of them where that cannot be told file by file."""
        if not self.b_values or self.kind == "adc" or any(image.frame is not None for image in self.images):
            return self.images
        return tuple(image for image in self.images if image.b_value == self.b_values[-1])

    @cached_property
    def _places(self) -> Counter:
        return Counter(tuple(image.position.round(2)) for image in self.highest_b if image.position is not None)

    @property
    def slices(self) -> int:
        """Number of different slice positions."""
        return len(self._places)

    @cached_property
    def _heights(self) -> np.ndarray:
        along_row, along_column = np.split(self.images[0].orientation, 2)
        return np.sort(np.array(list(self._places)) @ np.cross(along_row, along_column))

    @property
    def extent_mm(self) -> float:
        """Distance of the first from the last slice, at least 1 mm."""
        return max(float(np.ptp(self._heights)), 1.0)

    @property
    def missing(self) -> int:
        """Slices missing between the first and the last, and from volumes that are not whole."""
        if self.slices < 2:
            return 0
        most = max(self._places.values())
        return missing_slices(self._heights) + sum(most - count for count in self._places.values())

    @property
    def lost(self) -> int:
        """Damaged files beside the images that no gap accounts for."""
        return max(0, self.damaged - self.missing)

    def refusal(self, min_slices: int, max_missing: int) -> tuple[str, str] | None:
        """Return why the series cannot be used and what to do, or None."""
        first, count = self.images[0], len(self.images)
        faults = [image.fault for image in self.images if image.fault]
        if first.scout:
            return "localizer", "give the full series."
        if not first.grey:
            return "colour or inverted pixels", "give the original images, not screenshots or maps."
        if faults:
            return f"{len(faults)} of {count} images are {faults[0]}", "copy the files again."
        if any(value is None for image in self.images for value in (image.position, image.orientation, image.spacing)):
            return (
                "position, orientation or pixel spacing is missing in some images",
                "export the original images with their geometry.",
            )
        if first.mosaic:
            return None
        if self.slices < min_slices:
            return f"{self.slices} slices, fewer than {min_slices}", "give the full series."
        if self.missing + self.lost > max_missing:
            return f"{self.missing + self.lost} slices are missing or damaged", FETCH
        return None


def choose_mr(
    groups: Sequence[Sequence[Image]], damaged: Sequence[Path], modality: str, min_slices: int, max_missing: int
) -> tuple[MrSeries, list[dict[str, Any]]]:
    """Choose the series of ``modality`` (dwi or adc) and record every candidate.

    What b-values, ImageType and SeriesDescription call a DWI or an ADC map comes before what they leave open; anything
    else is out. Then the highest b-value decides (DWI), the number of slices, and originals before derived images.
    Raises `InputError` where none is left, or several are.
    """
    series = [part for group in groups for part in _by_kind(group, damaged)]
    refusals = [one.refusal(min_slices, max_missing) for one in series]
    decisions = [refusal[0] if refusal else "" for refusal in refusals]
    for index, one in enumerate(series):
        if one.kind not in RANK[modality]:
            decisions[index] = f"no {modality.upper()}"
        elif modality == "dwi" and not decisions[index] and one.b_values and one.b_values[-1] < LEAST_B:
            decisions[index] = f"a b-value of {one.b_values[-1]:g}, no DWI"
    left = [index for index, decision in enumerate(decisions) if not decision]
    if not left:
        raise _none_usable(series, decisions, refusals, modality)
    if not of_one_examination([series[index].images for index in left]):
        raise InputError(
            f"The DICOM folder holds examinations of different times: MR series "
            f"{', '.join(str(series[index].number) for index in left)}.",
            "put the images of the right examination into a folder of their own.",
        )
    keys = {index: _merit(series[index], modality) for index in left}
    best = max(keys.values())
    equal = [index for index in left if keys[index] == best]
    if len(equal) > 1:
        shown = " and ".join(f"{series[index].number} ({series[index].slices} slices)" for index in equal)
        raise InputError(
            f"MR series {shown} are equally good as {modality.upper()}.",
            "put the images of the right one into a folder of their own.",
        )
    for index in left:
        decisions[index] = "chosen" if index in equal else f"less fit than series {series[equal[0]].number}"
    return series[equal[0]], [_record(one, decision) for one, decision in zip(series, decisions, strict=True)]


def _by_kind(group: Sequence[Image], damaged: Sequence[Path]) -> list[MrSeries]:
    """Part ADC maps from the images that they were computed of."""
    parts = [[image for image in group if (image.diffusion == "adc") == adc] for adc in (True, False)]
    folders = {image.path.parent for image in group}
    beside = sum(path.parent in folders for path in damaged)
    return [MrSeries(tuple(part), beside) for part in parts if part]


def _merit(series: MrSeries, modality: str) -> tuple:
    highest = series.b_values[-1] if series.b_values and modality == "dwi" else 0
    original = all(image.original for image in series.images)
    return RANK[modality][series.kind], highest, series.slices, original


def _none_usable(
    series: Sequence[MrSeries], decisions: Sequence[str], refusals: Sequence[tuple | None], modality: str
) -> InputError:
    reasons = "; ".join(f"series {one.number}: {decision}" for one, decision in zip(series, decisions, strict=True))
    remedies = [
        refusal[1]
        for one, refusal in zip(series, refusals, strict=True)
        if refusal and one.kind in RANK[modality] and not one.images[0].scout
    ]
    remedy = remedies[0] if remedies else "name the folder of the right series in column mri."
    return InputError(f"No MR series of the DICOM folder can be used ({reasons}).", remedy)


def _record(series: MrSeries, decision: str) -> dict[str, Any]:
    return {
        "number": series.number,
        "images": len(series.images),
        "kind": series.kind,
        "b_values": series.b_values,
        "slices": series.slices,
        "original": all(image.original for image in series.images),
        "decision": decision,
    }
