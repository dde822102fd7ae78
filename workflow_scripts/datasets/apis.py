"""Read APIS (ISBI 2023): skull-stripped NCCT and ADC with the mask of the first reader, drawn on the ADC."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume
from workflow_scripts.datasets.parts.contract import FoundCase, LeftOut, parse, reader_parser, write
from workflow_scripts.datasets.parts.grids import drawn_on, grid_of, onto
from workflow_scripts.datasets.parts.masks import binary
from workflow_scripts.datasets.parts.tree import files

COHORT = "APIS"
NAME = re.compile(r"train_(?P<case>\d{3})_(?P<what>ncct|adc|r1_mask)\.nii(\.gz)?")
AGAIN = "download and unpack APIS_dataset.zip again."
# What the code of the paper leaves out.
EXCLUDED = {
    "008": "left and right of the mask may be swapped",
    "016": "left and right of the mask may be swapped",
    "018": "the mask is shifted",
    "019": "the mask is shifted",
    "020": "holes in the stripped brain",
    "021": "NCCT and ADC do not fit each other",
    "031": "the NCCT is damaged",
    "052": "NCCT and ADC do not fit each other",
}


def read(folder: Path) -> Iterator[FoundCase | LeftOut]:
    """Yield the cases below ``folder``. An empty mask says that there is no lesion: the data set has such patients."""
    found: dict[str, dict[str, Path]] = {}
    for path in files(folder):
        if match := NAME.fullmatch(path.name):
            found.setdefault(match["case"], {})[match["what"]] = path
    for number, paths in sorted(found.items()):
        yield from _read_case(number, paths)


def _read_case(number: str, paths: dict[str, Path]) -> Iterator[FoundCase | LeftOut]:
    case = f"train{number}"
    for what in [what for what in ("ncct", "adc") if what in paths]:
        try:
            grid_of(paths[what])
        except InputError as error:
            yield LeftOut.because(case, what, error)
            del paths[what]
    if "ncct" not in paths:
        yield LeftOut(case, "case", "there is no NCCT", AGAIN)
        return
    adc = {"adc": paths["adc"]} if "adc" in paths else {}
    lesion, space = None, "ncct"
    if number not in EXCLUDED:
        try:
            lesion, space = _lesion(paths)
        except InputError as error:
            yield LeftOut.because(case, "lesion", error)
    yield FoundCase(
        COHORT,
        case,
        case,
        paths["ncct"],
        mri=adc,
        lesion=lesion,
        lesion_space=space,
        stripped=("ncct", *adc),
        exclude=EXCLUDED.get(number, ""),
    )


def _lesion(paths: dict[str, Path]) -> tuple[Volume, str]:
    """Return the mask and the space that it was drawn on: that of the ADC, unless only the NCCT has its grid."""
    if "r1_mask" not in paths:
        raise InputError("There is no mask of reader 1.", AGAIN)
    image = drawn_on(paths["r1_mask"], {what: paths[what] for what in ("adc", "ncct") if what in paths})
    if image is None:
        raise InputError("The mask has neither the grid of the ADC nor that of the NCCT.", AGAIN)
    mask = onto(binary(load_volume(paths["r1_mask"], given=True)), paths[image])
    return mask, "mri" if image == "adc" else "ncct"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = parse(reader_parser(__doc__), argv)
    write(read(arguments.folder), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
