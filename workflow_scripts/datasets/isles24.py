"""Read ISLES'24 (Zenodo 17652035): NCCT, follow-up DWI and ADC in NCCT space, and the final infarct.

The archive and its documentation name folders differently, and older releases named the masks differently; files are
found by their names and masks are placed by their grids.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume
from workflow_scripts.datasets.parts.contract import FoundCase, LeftOut, parse, reader_parser, write
from workflow_scripts.datasets.parts.grids import drawn_on, grid_of, onto
from workflow_scripts.datasets.parts.masks import binary
from workflow_scripts.datasets.parts.tree import files

COHORT = "ISLES24"
NAME = re.compile(
    r"sub-stroke(case)?(?P<case>\d{4})_ses-0*(?P<session>[12])_((?P<space>space-ncct|ncct-masked)_)?"
    r"(?P<what>ncct|dwi|adc|lesion-msk)\.nii(?P<compressed>\.gz)?"
)
MODALITIES = ("dwi", "adc")
AGAIN = "download and unpack train.7z again."


@dataclass
class Files:
    """Files of one case: its NCCT, MRI as acquired and in NCCT space, and candidates for the mask, likeliest first."""

    ncct: Path | None = None
    raw: dict[str, Path] = field(default_factory=dict)
    aligned: dict[str, Path] = field(default_factory=dict)
    masks: list[tuple[tuple[bool, bool], Path]] = field(default_factory=list)


def read(folder: Path) -> Iterator[FoundCase | LeftOut]:
    """Yield the cases below ``folder``."""
    for number, found in sorted(_find(folder).items()):
        yield from _read_case(f"stroke{number}", found)


def _find(folder: Path) -> dict[str, Files]:
    found: dict[str, Files] = {}
    for path in files(folder):
        match = NAME.fullmatch(path.name)
        if not match:
            continue
        case = found.setdefault(match["case"], Files())
        if match["what"] == "lesion-msk":
            case.masks.append(((not match["space"], not match["compressed"]), path))
        elif match["what"] == "ncct":
            case.ncct = path
        else:
            (case.aligned if match["space"] else case.raw)[match["what"]] = path
    return found


def _read_case(case: str, found: Files) -> Iterator[FoundCase | LeftOut]:
    try:
        if found.ncct is None:
            raise InputError("There is no NCCT.", AGAIN)
        grid_of(found.ncct)
    except InputError as error:
        yield LeftOut.because(case, "case", error)
        return
    mri = found.aligned or found.raw
    if not mri:
        yield LeftOut(case, "mri", "there is no DWI or ADC", AGAIN)
    lesion = None
    try:
        lesion = _lesion(found.ncct, [path for _, path in sorted(found.masks)])
    except InputError as error:
        yield LeftOut.because(case, "lesion", error)
    yield FoundCase(
        COHORT,
        case,
        case,
        found.ncct,
        mri={modality: mri[modality] for modality in MODALITIES if modality in mri},
        lesion=lesion,
        mri_aligned=bool(found.aligned),
    )


def _lesion(ncct: Path, candidates: Sequence[Path]) -> Volume:
    """Return the first mask that lies on the NCCT; a stray one in the space of the MRI does not."""
    if not candidates:
        raise InputError("There is no lesion mask.", AGAIN)
    images: Mapping[str, Path] = {"ncct": ncct}
    for path in candidates:
        if drawn_on(path, images):
            return onto(binary(load_volume(path, given=True)), ncct)
    raise InputError("No lesion mask has the grid of the NCCT.", AGAIN)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = parse(reader_parser(__doc__), argv)
    write(read(arguments.folder), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
