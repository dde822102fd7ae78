"""Read a plain folder: each folder in it is one case, a DICOM study with a CT of the head.

The name of a folder becomes the name of patient and case, and stands on every page: rename folders that are called
like patients before you run this.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.parts.contract import (
    FoundCase,
    LeftOut,
    add_cohort,
    cohort_name,
    identifier,
    parse,
    reader_parser,
    write,
)
from workflow_scripts.datasets.parts.slices import ct_stacks


def read(folder: Path, cohort: str) -> Iterator[FoundCase | LeftOut]:
    """Yield the folders in ``folder`` that hold CT images; which series is taken is for ingest to choose."""
    for place in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        case = identifier(place.name)
        if not place.is_dir():
            yield LeftOut("", place.name, "it is a file, not the folder of a study")
            continue
        try:
            ct_stacks(place)
        except InputError as error:
            yield LeftOut.because(case, "case", error)
            continue
        if not case:
            yield LeftOut("", place.name, "its name has no letter and no digit", "rename the folder.")
            continue
        yield FoundCase(cohort, case, case, place)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = reader_parser(__doc__)
    add_cohort(parser)
    return parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    write(read(arguments.folder, cohort_name(arguments)), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
