"""Write the split of a finished run into the case sheet, so that no later change of the sheet moves anybody.

Run by hand: `make freeze-split`.
"""

import argparse
import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, replacing

log = logging.getLogger(__name__)


def frozen(text: str, splits: Mapping[tuple[str, str], str]) -> str:
    """Return a case sheet with the split of its cases in column ``split``; all else stays as it was.

    Parameters
    ----------
    text
        content of the sheet, with its own line ends
    splits
        split by cohort and case; cases that it lacks, and cells that are filled, are left alone
    """
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    names = [name.strip() for name in rows[0]]
    if "split" not in names:
        rows[0].append("split")
        names.append("split")
    cohort, case, split = (names.index(name) for name in ("cohort", "case", "split"))
    for row in rows[1:]:
        if not any(cell.strip() for cell in row):
            continue
        row += [""] * (split + 1 - len(row))
        if not row[split].strip():
            row[split] = splits.get((row[cohort].strip(), row[case].strip()), row[split])
    out = io.StringIO()
    end = "\r\n" if "\r\n" in text else "\n"
    csv.writer(out, delimiter="\t", lineterminator=end).writerows(rows)
    return out.getvalue() if text.endswith(end) else out.getvalue().removesuffix(end)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True, help="case sheet, which is changed")
    parser.add_argument("--splits", type=Path, required=True, help="splits.tsv of the run")
    arguments = parser.parse_args(argv)
    if not arguments.splits.is_file():
        raise InputError(f"{arguments.splits} does not exist.", "run `snakemake all_split` first.")
    splits = {(row["cohort"], row["case"]): row["split"] for row in read_tsv(arguments.splits)}
    text = arguments.sheet.read_bytes().decode("utf-8-sig" if _has_bom(arguments.sheet) else "utf-8")
    with replacing(arguments.sheet) as temporary:
        temporary.write_bytes(frozen(text, splits).encode("utf-8-sig" if _has_bom(arguments.sheet) else "utf-8"))
    log.info("%s: column split has the splits of %s", arguments.sheet, arguments.splits)


def _has_bom(path: Path) -> bool:
    return path.read_bytes().startswith(b"\xef\xbb\xbf")


if __name__ == "__main__":
    run(main)
