"""Read AISD (github.com/GriffinLiang/AISD): NCCT and DWI as DICOM, lesions as PNG files of label numbers.

The case sheet gets every case whose CT is there. A mask is written where the pictures of the CT, which come with the
data set, show which end of the scan the first PNG is; it lies on the slices as acquired.
"""

import argparse
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.datasets.parts.contract import FoundCase, LeftOut, add_labels, parse, reader_parser, write
from workflow_scripts.datasets.parts.masks import merge_labels
from workflow_scripts.datasets.parts.slices import Series, ct_stacks, hounsfield
from workflow_scripts.datasets.parts.tree import folders, is_archive

COHORT = "AISD"
CASE = re.compile(r"\d{7}")
LABELS = frozenset({1, 2, 3, 4, 5})  # old, clear acute, blurred acute, invisible acute, general
WINDOW_HU = (0, 80)
STEP = 4  # pixels; every fourth row and column tell the order of the slices
ALIKE = 0.7  # correlation of a scan with its own pictures
CLEARLY = 0.05  # by which the other order must correlate less

# The split that the authors publish (README of the data set, item 5).
TEST = frozenset(
    """0073410 0072723 0226290 0537908 0538058 0091415 0538780 0073540 0226188 0226258 0226314 0091507 0226298 0538975
    0226257 0226142 0072681 0091538 0538983 0537961 0091646 0072765 0226137 0091621 0091458 0021822 0538319 0226133
    0091657 0537925 0073489 0538502 0091476 0226136 0538532 0073312 0539025 0226309 0226307 0091383 0021092 0537990
    0226299 0073060 0538505 0073424 0091534 0226125 0072691 0538425 0226199 0226261""".split()
)
# What the code of the paper leaves out.
EXCLUDED = {
    "0091530": "artefacts",
    "0091684": "artefacts",
    "0226130": "artefacts",
    "0226134": "scan and labels do not fit",
    "0538050": "slab only",
}


@dataclass
class Places:
    """Folders of one case: those of its CT, its MRI, and its PNG files in all parts of the download."""

    ct: list[Path] = field(default_factory=list)
    dwi: list[Path] = field(default_factory=list)
    mask: list[Path] = field(default_factory=list)
    image: list[Path] = field(default_factory=list)


def read(folder: Path, labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    """Yield the cases below ``folder``; ``labels`` are the values of the PNG masks that count as lesion."""
    for case, places in sorted(_find(folder).items()):
        yield from _read_case(case, places, labels)


def in_order_of_pictures(hu: np.ndarray, pictures: np.ndarray) -> slice:
    """Return the slice that puts pictures of a scan into its order: as they are, or last first.

    ``hu`` and ``pictures`` have the shape (columns, rows, slices). Raises `InputError` where the sizes differ, or
    neither order fits clearly.
    """
    if hu.shape != pictures.shape:
        raise InputError(
            f"The CT has {hu.shape} pixels (columns, rows, slices), its pictures have {pictures.shape}.",
            "download the case again.",
        )
    scan = np.clip(hu[::STEP, ::STEP], *WINDOW_HU)
    orders = {1: slice(None), -1: slice(None, None, -1)}
    fits = {step: _correlation(scan, pictures[::STEP, ::STEP, order]) for step, order in orders.items()}
    best = max(fits, key=fits.__getitem__)
    if fits[best] < ALIKE or fits[best] - fits[-best] < CLEARLY:
        raise InputError(
            f"The pictures of the CT do not show its order (correlation {fits[1]:.2f}, last first {fits[-1]:.2f}).",
            "download the case again.",
        )
    return orders[best]


def _find(folder: Path) -> dict[str, Places]:
    found: dict[str, Places] = {}
    for place, _ in folders(folder):
        case, kind = (place.parent, place) if CASE.fullmatch(place.parent.name) else (place, place.parent)
        attribute = {"ct": "ct", "dwi": "dwi", "mri": "dwi", "mask": "mask", "image": "image"}.get(kind.name.lower())
        if CASE.fullmatch(case.name) and attribute:
            getattr(found.setdefault(case.name, Places()), attribute).append(place)
    return found


def _read_case(case: str, places: Places, labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    ct, dwi = _fullest(places.ct), _fullest(places.dwi)
    if ct is None:
        packed = any(is_archive(file) for place in places.ct for file in place.iterdir())
        remedy = "unpack the archives." if packed else "download and unpack the parts dicom-0 to dicom-3."
        yield LeftOut(case, "case", "there is no CT", remedy)
        return
    series, lesion = None, None
    if case not in EXCLUDED:
        try:
            series, lesion = _lesion(ct, _fullest(places.mask), _fullest(places.image), labels)
        except InputError as error:
            yield LeftOut.because(case, "lesion", error)
    if dwi is None:
        yield LeftOut(case, "mri", "there is no DWI", "download and unpack the parts dicom-0 to dicom-3.")
    yield FoundCase(
        cohort=COHORT,
        patient=case,
        case=case,
        ncct=ct,
        ncct_series=series,
        mri={"dwi": dwi} if dwi else {},
        lesion=lesion,
        split="test" if case in TEST else "",
        exclude=EXCLUDED.get(case, ""),
    )


def _fullest(places: Sequence[Path]) -> Path | None:
    """Return the folder with most files: in one part of the download a folder may be empty that is full in another."""
    counts = {place: sum(not is_archive(file) for file in _visible(place)) for place in places}
    best = max(counts, key=counts.__getitem__, default=None)
    return best if best and counts[best] else None


def _visible(place: Path) -> list[Path]:
    return [file for file in sorted(place.iterdir()) if file.is_file() and not file.name.startswith(".")]


def _lesion(
    ct: Path, mask_folder: Path | None, image_folder: Path | None, labels: Set[int]
) -> tuple[int | None, Volume]:
    """Return the number of the series that the mask was drawn on, where there are several, and the mask."""
    for place, what in ((mask_folder, "mask"), (image_folder, "image")):
        if place is None:
            raise InputError(f"There are no {what} files.", f"download and unpack {what}.zip.")
    mask, pictures = _load_pictures(mask_folder), _load_pictures(image_folder)
    if mask.shape != pictures.shape:
        raise InputError(
            f"The mask has {mask.shape} pixels, the pictures have {pictures.shape}.", "download both archives again."
        )
    series, number = _series_of_size(ct_stacks(ct), mask.shape)
    order = in_order_of_pictures(hounsfield(series), pictures)
    return number, Volume(merge_labels(mask[..., order], labels, LABELS), series.stack.affine)


def _series_of_size(series: Sequence[Series], shape: tuple[int, ...]) -> tuple[Series, int | None]:
    """Return the series of this shape, and its number where the folder has several series of slices."""
    fitting = [one for one in series if one.stack.shape == shape]
    if len(fitting) != 1:
        there = ", ".join(str(one.stack.shape) for one in series)
        raise InputError(
            f"{len(fitting)} series of the CT have the mask's {shape} pixels (columns, rows, slices); there: {there}.",
            "download the case again.",
        )
    return fitting[0], fitting[0].number if len(series) > 1 else None


def _load_pictures(folder: Path) -> np.ndarray:
    """Return the PNG files of a folder by their numbers, shape (columns, rows, slices)."""
    paths = sorted((path for path in _visible(folder) if path.suffix == ".png"), key=lambda path: int(path.stem))
    if [int(path.stem) for path in paths] != list(range(len(paths))) or not paths:
        raise InputError("The PNG files are not numbered from 0 without a gap.", "download the archive again.")
    pictures = [_load_picture(path) for path in paths]
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError("The PNG files differ in size.", "download the archive again.")
    return np.stack(pictures, axis=-1)


def _load_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError):
        raise InputError(f"{path.name} cannot be read as PNG.", "download the archive again.") from None
    if pixels.ndim != 2:
        raise InputError(f"{path.name} holds colours.", "use the files as the authors publish them.")
    return pixels.T


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation, 0 where one is constant."""
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = reader_parser(__doc__)
    add_labels(parser, LABELS, LABELS, "default all, as the paper; 1 2 3 5, without the invisible, as most others")
    return parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    write(read(arguments.folder, frozenset(arguments.labels)), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
