"""What a reader returns, and how it is written: case sheet, lesion masks and the list of what was left out.

A reader is a function of a folder that yields `FoundCase` and `LeftOut` in any order. It never stops at a case that it
cannot use: it yields a `LeftOut` and goes on.
"""

import argparse
import filecmp
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_tsv
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.study.schemas import load_schema

log = logging.getLogger(__name__)

UNWRITABLE = "its path ends in a blank, or holds a semicolon, a tab or a line end, which the case sheet cannot"
LEFT_OUT_COLUMNS = ("case", "what", "why", "remedy")


@dataclass(frozen=True)
class FoundCase:
    """A row of the case sheet.

    ``mri`` maps a modality (``dwi``, ``adc``) to its folder or file. ``lesion`` is a mask of 0 and 1 on the grid of
    ``lesion_space``; None means that nobody knows, all zeros that the data set says that there is no lesion.
    ``brain_mask`` is a mask file on the grid of the NCCT.
    """

    cohort: str
    patient: str
    case: str
    ncct: Path
    ncct_series: int | None = None
    mri: Mapping[str, Path] = field(default_factory=dict)
    lesion: Volume | None = None
    lesion_space: str = "ncct"
    mri_aligned: bool = False
    stripped: tuple[str, ...] = ()
    brain_mask: Path | None = None
    split: str = ""
    exclude: str = ""


@dataclass(frozen=True)
class LeftOut:
    """Something that did not reach the case sheet: the ``what`` of a ``case`` (empty where it belongs to none)."""

    case: str
    what: str
    why: str
    remedy: str = ""

    @classmethod
    def because(cls, case: str, what: str, error: InputError) -> "LeftOut":
        """Take why and remedy from an error."""
        return cls(case, what, error.problem, error.remedy)


def reader_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with what every reader takes: FOLDER and ``--out``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the data set, as downloaded and unpacked")
    parser.add_argument("--out", type=Path, required=True, help="folder for cases.tsv, left_out.tsv and lesions/")
    return parser


def add_cohort(parser: argparse.ArgumentParser) -> None:
    """Add ``--cohort``, for folders that are no known data set."""
    parser.add_argument("--cohort", help="name in the case sheet: letters, digits and -; default: the folder's name")


def add_labels(parser: argparse.ArgumentParser, known: Set[int] | None, default: Set[int], meaning: str) -> None:
    """Add ``--labels``: which of the ``known`` values of a label image (None: any) count as lesion."""
    parser.add_argument(
        "--labels",
        type=int,
        nargs="+",
        choices=sorted(known) if known else None,
        default=sorted(default),
        help=f"values of the masks that count as lesion; {meaning}",
    )


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; raises `InputError` when FOLDER is no folder. Paths become absolute."""
    arguments = parser.parse_args(argv)
    if not arguments.folder.is_dir():
        raise InputError(f"{str(arguments.folder)!r} is not a folder.", "name the folder that holds the data set.")
    arguments.folder, arguments.out = arguments.folder.absolute(), arguments.out.absolute()
    if not _fits_a_cell(arguments.out / "cases.tsv"):
        raise InputError("The path of --out holds a semicolon, a tab or a line end.", "name another folder.")
    return arguments


def cohort_name(arguments: argparse.Namespace) -> str:
    """Return ``--cohort``, or the name of FOLDER as an identifier; raises `InputError` where it cannot be one."""
    name = arguments.cohort or identifier(arguments.folder.name)
    if not name or name != identifier(name):
        raise InputError(f"{name!r} is no name of a cohort.", "give --cohort with letters, digits and - only.")
    return name


def identifier(name: str) -> str:
    """Turn a name of a data set into one that the case sheet allows; leading zeros stay.

    >>> identifier("2.25.007"), identifier("train_012")
    ('2-25-007', 'train-012')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def write(results: Iterable[FoundCase | LeftOut], out: Path) -> None:
    """Write ``cases.tsv``, ``left_out.tsv`` and ``lesions/<case>.nii.gz`` into ``out``.

    A mask that is there already with the same content is not touched, so that only what a further download brought is
    preprocessed again. Raises `InputError`, after the list is written, when no case was found.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    left_out: list[LeftOut] = []
    for result in results:
        if isinstance(result, LeftOut):
            left_out.append(result)
        elif (result.cohort, result.case) in rows:
            left_out.append(LeftOut(result.case, "case", "its name is taken by another folder", "rename one of them."))
        elif not all(map(_fits_a_cell, filter(None, (result.ncct, result.brain_mask, *result.mri.values())))):
            left_out.append(LeftOut(result.case, "case", UNWRITABLE, "rename the folder."))
        else:
            rows[result.cohort, result.case] = _row(result, _write_lesion(result, out))
    write_tsv(out / "left_out.tsv", [vars(one) for one in left_out], LEFT_OUT_COLUMNS)
    if not rows:
        raise InputError(
            "No case was found.",
            "name the folder that the data set was unpacked into, and see left_out.tsv.",
        )
    write_tsv(out / "cases.tsv", rows.values(), sheet_columns())
    _summarise(rows.values(), left_out)


def sheet_columns() -> list[str]:
    """Return the columns of a case sheet, in its order."""
    return list(load_schema("cases")["properties"])


def _row(found: FoundCase, lesion: Path | None) -> dict[str, Any]:
    cells = {
        "cohort": found.cohort,
        "patient": found.patient,
        "case": found.case,
        "ncct": found.ncct,
        "ncct_series": found.ncct_series,
        "mri": ";".join(map(str, found.mri.values())),
        "mri_modality": ";".join(found.mri),
        "lesion": lesion,
        "lesion_space": found.lesion_space if lesion else None,
        "mri_aligned": found.mri_aligned if found.mri else None,
        "stripped": ";".join(found.stripped),
        "brain_mask": found.brain_mask,
        "split": found.split,
        "exclude": found.exclude,
    }
    return {column: cells.get(column) for column in sheet_columns()}


def _fits_a_cell(path: Path) -> bool:
    text = str(path)
    return text == text.strip() and not re.search(r"[;\t\r\n]", text)


def _write_lesion(found: FoundCase, out: Path) -> Path | None:
    if found.lesion is None:
        return None
    path = out / "lesions" / f"{found.case}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        fresh = Path(folder) / path.name
        save_volume(fresh, found.lesion, np.uint8)
        if not (path.is_file() and filecmp.cmp(fresh, path, shallow=False)):
            fresh.replace(path)
    return path


def _summarise(rows: Iterable[Mapping[str, Any]], left_out: Sequence[LeftOut]) -> None:
    used = [row for row in rows if not row["exclude"]]
    excluded = len(list(rows)) - len(used)
    log.info("%d cases, %d with a lesion mask; %d excluded.", len(used), sum(bool(r["lesion"]) for r in used), excluded)
    for what, count in Counter(one.what for one in left_out).most_common():
        log.info("Left out: %d × %s (left_out.tsv)", count, what)
