"""Read CPAISD (Zenodo 10892316): NCCT as one DICOM file a slice, core and penumbra as numpy archives beside them."""

import argparse
import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy import ndimage

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.datasets.parts.contract import (
    FoundCase,
    LeftOut,
    add_labels,
    identifier,
    parse,
    reader_parser,
    write,
)
from workflow_scripts.datasets.parts.masks import merge_labels
from workflow_scripts.datasets.parts.slices import Series, ct_stacks
from workflow_scripts.datasets.parts.tree import folders

COHORT = "CPAISD"
CORE, PENUMBRA = 1, 2
LABELS = frozenset({CORE, PENUMBRA})
SPLITS = {"train": "train", "val": "validation", "test": "test"}
SLICE = re.compile(r"\d{5}")
DICOM, MASK = "raw.dcm", "mask.npz"
AGAIN = "download the study again."
NEIGHBOURS = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])  # within the slice


def read(folder: Path, labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    """Yield the studies below ``folder``; ``labels`` are the values of the masks that count as lesion."""
    studies: dict[Path, list[Path]] = {}
    for place, _ in folders(folder):
        if SLICE.fullmatch(place.name) and place.parent.parent.name in SPLITS:
            studies.setdefault(place.parent, []).append(place)
    for study, slices in sorted(studies.items()):
        yield from _read_study(study, slices, labels)


def check_nesting(mask: np.ndarray) -> None:
    """Raise `InputError` where the core surrounds the penumbra, so that the two labels must be swapped.

    ``mask`` has the shape (columns, rows, slices). A mask with one of the labels says nothing about it.
    """
    rims = {label: ndimage.binary_dilation(mask == label, NEIGHBOURS) & (mask != label) for label in LABELS}
    around_core = np.count_nonzero(mask[rims[CORE]] == PENUMBRA) / max(1, np.count_nonzero(rims[CORE]))
    around_penumbra = np.count_nonzero(mask[rims[PENUMBRA]] == CORE) / max(1, np.count_nonzero(rims[PENUMBRA]))
    if around_penumbra > around_core:
        raise InputError(
            f"Label {CORE}, the core, lies around label {PENUMBRA}: the labels may be swapped in this copy.",
            "look at the mask; --labels 1 2 takes both.",
        )


def _read_study(study: Path, slices: Sequence[Path], labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    case = identifier(study.name)
    without = [place.name for place in slices if not (place / DICOM).is_file()]
    if without:
        yield LeftOut(case, "slices", f"no {DICOM} in {', '.join(without)}", AGAIN)
    try:
        series = _only_series(study)
    except InputError as error:
        yield LeftOut.because(case, "case", error)
        return
    lesion = None
    try:
        lesion = _lesion(series, labels)
    except InputError as error:
        yield LeftOut.because(case, "lesion", error)
    yield FoundCase(COHORT, case, case, study, lesion=lesion, split=SPLITS[study.parent.name])


def _only_series(study: Path) -> Series:
    stacks = ct_stacks(study)
    if len(stacks) > 1:
        raise InputError(f"The study has {len(stacks)} series of slices, not one.", AGAIN)
    return stacks[0]


def _lesion(series: Series, labels: Set[int]) -> Volume:
    mask = np.stack([_load_mask(image.path.with_name(MASK)).T for image in series.images], axis=-1)
    if mask.shape != series.stack.shape:
        raise InputError(f"The mask has {mask.shape} pixels, the scan has {series.stack.shape}.", AGAIN)
    merged = merge_labels(mask, labels, LABELS)
    if labels != LABELS:
        check_nesting(mask)
    return Volume(merged, series.stack.affine)


def _load_mask(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            mask = archive["mask"]
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        raise InputError(f"{path.parent.name}/{path.name} cannot be read.", AGAIN) from None
    if mask.ndim != 2:
        raise InputError(f"{path.parent.name}/{path.name} is not one slice.", AGAIN)
    return mask


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = reader_parser(__doc__)
    add_labels(parser, LABELS, {CORE}, "1 core (default), 2 penumbra")
    return parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    write(read(arguments.folder, frozenset(arguments.labels)), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
