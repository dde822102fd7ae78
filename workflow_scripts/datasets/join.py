"""Join the case sheets of several data sets into the one of a study, with absolute paths."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.datasets.parts.contract import sheet_columns
from workflow_scripts.study.case_sheet import load_cases
from workflow_scripts.study.schemas import StudyError

CHOOSE = "join each data set once, or give one of them another cohort."


def join(sheets: Sequence[Path]) -> list[dict[str, str]]:
    """Return the rows of all sheets; raises `InputError` for a sheet that is wrong and a case that stands in two."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for sheet in sheets:
        try:
            cases = load_cases(sheet.absolute(), None)
        except StudyError as error:
            raise InputError(str(error), "run its reader again, or correct the sheet.") from None
        for case, row in zip(cases, read_tsv(sheet), strict=True):
            if (case.cohort, case.case) in rows:
                raise InputError(f"{case.cohort}/{case.case} is in two of the sheets.", CHOOSE)
            paths = {"ncct": case.ncct, "mri": ";".join(case.mri), "lesion": case.lesion}
            rows[case.cohort, case.case] = {**dict.fromkeys(sheet_columns()), **row, **paths}
    return list(rows.values())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheets", type=Path, nargs="+", metavar="SHEET", help="cases.tsv of a reader, or your own")
    parser.add_argument("--out", type=Path, required=True, help="case sheet to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    write_tsv(arguments.out, join(arguments.sheets), sheet_columns())


if __name__ == "__main__":
    run(main, reads_headers=True)
