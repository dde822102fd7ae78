"""The case sheet: one row a case, checked cell by cell."""

import csv
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from workflow_scripts.study.own_files import first_shared
from workflow_scripts.study.schemas import StudyError, Validator, allowed, load_schema

log = logging.getLogger(__name__)

OWN = "x_"  # what columns begin with that the study keeps for itself
FLAGS = {"1": "true", "0": "false"}
WORDS = {
    "lesion_labels",
    "mri_volume",
    "mri_modality",
    "lesion_space",
    "mri_aligned",
    "stripped",
    "label_standard",
    "side",
    "split",
}

IDENTIFIERS = {"cohort", "patient", "case"}
NUMBERS = {"ncct_series", "mri_volume", "lesion_labels"}  # 3.0 stands for 3 where a table had empty cells
NAMES = {"patient", "case"}  # what is no identifier may be somebody's name, and is not repeated

CellCheck = Callable[[str, str], jsonschema.ValidationError | None]


@dataclass(frozen=True)
class Case:
    """One row of the case sheet; paths are joined to the sheet's root folder."""

    cohort: str
    patient: str
    case: str
    ncct: str
    ncct_series: int | None
    mri: tuple[str, ...]
    mri_modality: tuple[str, ...]
    mri_volume: tuple[int | None, ...]
    lesion: str | None
    lesion_space: str
    lesion_labels: tuple[int, ...]
    brain_mask: str | None
    mri_aligned: bool
    stripped: tuple[str, ...]
    label_standard: str
    side: str
    split: str
    exclude: str


def load_cases(sheet: Path | str, root: Path | str | None, check_paths: bool = False) -> list[Case]:
    """Read and validate a case sheet; relative paths start from ``root``, or from the sheet's folder."""
    sheet = Path(sheet)
    if not sheet.is_file():
        raise StudyError(f"{sheet}: the case sheet does not exist; key `cases` of the configuration names it.")
    schema = load_schema("cases")
    absent = dict.fromkeys(schema["properties"], "")
    rows = [(number, absent | row) for number, row in _rows_of(sheet, schema)]
    folder = Path(root) if root is not None else sheet.parent
    error_in = _cell_check(schema)
    cases = [_case_of_row(sheet, number, row, error_in, folder, check_paths) for number, row in rows]
    seen: dict[tuple[str, str], int] = {}
    for (number, _), case in zip(rows, cases, strict=True):
        first = seen.setdefault((case.cohort, case.case), number)
        if first != number:
            raise StudyError(
                f"{sheet}, row {number}, column case: {case.case!r} is already in row {first}; "
                f"a case must be unique inside its cohort ({case.cohort})."
            )
    _require_one_spelling(sheet, rows, cases)
    _require_one_side(sheet, rows, cases)
    numbered = zip((number for number, _ in rows), cases, strict=True)
    if check_paths and (shared := first_shared(numbered)):
        row, column, complaint = shared
        raise StudyError(f"{sheet}, row {row}, column {column}: {complaint}")
    return cases


def _require_one_spelling(sheet: Path, rows: Sequence[tuple[int, dict[str, Any]]], cases: Sequence[Case]) -> None:
    """Raise `StudyError` where identifiers differ in capitals alone: folders of one name on some file systems."""
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    for (number, _), case in zip(rows, cases, strict=True):
        for column, place in (("cohort", ()), ("case", (case.cohort,)), ("patient", (case.cohort,))):
            name = getattr(case, column)
            row, other = first.setdefault((column, *place, name.lower()), (number, name))
            if name != other:
                raise StudyError(
                    f"{sheet}, row {number}, column {column}: {name!r} differs from {other!r} in row {row} in capitals "
                    f"alone, which some file systems and people do not tell apart; write one {column} in one way, and "
                    "name two differently."
                )


def _require_one_side(sheet: Path, rows: Sequence[tuple[int, dict[str, Any]]], cases: Sequence[Case]) -> None:
    """Raise `StudyError` where two scans of one patient are fixed to different sides of the split."""
    fixed: dict[tuple[str, str], tuple[int, str]] = {}
    for (number, _), case in zip(rows, cases, strict=True):
        if case.split and not case.exclude:
            first, split = fixed.setdefault((case.cohort, case.patient), (number, case.split))
            if split != case.split:
                raise StudyError(
                    f"{sheet}, row {number}, column split: {case.split!r} contradicts {split!r} in row {first}: "
                    "both are scans of one patient, who must be on one side."
                )


def _rows_of(sheet: Path, schema: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Read the cells of a sheet, with the number of the line that each row ends in."""
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t", restkey="surplus", restval="", strict=True)
            reader.fieldnames = _columns(sheet, list(reader.fieldnames or []), schema)
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise StudyError(f"{sheet}: the case sheet is not UTF-8; save it as text with that encoding.") from None
    except csv.Error as error:
        with sheet.open(encoding="utf-8-sig") as handle:
            if "\t" not in handle.readline():
                raise _no_tabs(sheet) from None
        raise StudyError(
            f"{sheet}: the case sheet is not tab-separated text ({error}); a quotation mark is not closed."
        ) from None
    return [(number, _known(row)) for number, row in rows if any(map(str.strip, _cells(row)))]


def _no_tabs(sheet: Path) -> StudyError:
    return StudyError(
        f"{sheet}, row 1: the columns are not separated by tabs; save the case sheet as tab-separated text."
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a row, with those that no column names."""
    return [cell for value in row.values() for cell in (value if isinstance(value, list) else [value])]


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a spreadsheet adds: cells without a name that are empty; and the user's own columns."""
    surplus = [cell for name, value in row.items() if name in ("", "surplus") for cell in _cells({name: value})]
    known = {name: cell for name, cell in row.items() if name not in ("", "surplus") and not name.startswith(OWN)}
    return known | ({"surplus": surplus} if any(cell.strip() for cell in surplus) else {})


def _columns(sheet: Path, columns: list[str], schema: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns; raises `StudyError` where one is unknown, missing, or there twice."""
    columns = [column.strip().lower() for column in columns]
    while columns and not columns[-1]:
        columns.pop()
    known = list(schema["properties"])
    if len(columns) == 1 and any(separator in columns[0] for separator in ",;"):
        raise _no_tabs(sheet)
    if columns and not {*columns} & IDENTIFIERS:  # a row of a patient: its cells are not repeated
        raise StudyError(
            f"{sheet}, row 1: holds no names of columns; a case sheet begins with the names of its columns, "
            f"separated by tabs: {', '.join(known)}."
        )
    own = [column for column in columns if column.startswith(OWN)]
    if own:
        log.warning("%s: columns %s are not read.", sheet, ", ".join(own))
    unknown = [column for column in columns if column not in known and column not in own]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise StudyError(f"{sheet}, row 1: columns {twice} are there twice.")
    missing = [column for column in schema["required"] if column not in columns]
    if unknown or missing:
        raise StudyError(
            f"{sheet}, row 1: unknown columns {unknown}, missing columns {missing}; "
            f"a case sheet has the tab-separated columns {', '.join(known)}, and your own, which begin with {OWN}."
        )
    return columns


def _cell_check(schema: Mapping[str, Any]) -> CellCheck:
    """Return a function that finds the error in a cell; a value that many rows share is checked once."""
    whole = Validator(schema)
    validators = {column: whole.evolve(schema=part) for column, part in schema["properties"].items()}

    @cache
    def error_in(column: str, cell: str) -> jsonschema.ValidationError | None:
        return jsonschema.exceptions.best_match(validators[column].iter_errors(cell))

    return error_in


def _case_of_row(
    sheet: Path, number: int, row: dict[str, Any], error_in: CellCheck, folder: Path, check_paths: bool
) -> Case:
    def refuse(column: str, complaint: str) -> StudyError:
        return StudyError(f"{sheet}, row {number}, column {column}: {complaint}")

    if "surplus" in row:
        raise StudyError(f"{sheet}, row {number}: more cells than columns ({len(row['surplus'])} are left over).")
    row = {column: _plain(column, cell.strip()) for column, cell in row.items()}
    for column, cell in row.items():
        if "\n" in cell or "\t" in cell:
            raise refuse(column, "a quotation mark makes one cell of several; remove the quotation marks.")
        excluded = column == "ncct" and row["exclude"]
        if not excluded and (error := error_in(column, cell)):
            hidden = column in NAMES and cell
            raise refuse(column, allowed(error).replace(repr(cell), "the name") if hidden else allowed(error))
    mri, modalities = _split(row["mri"]), tuple(m.lower() for m in _split(row["mri_modality"]))
    if len(mri) != len(modalities) or len(set(modalities)) != len(modalities):
        raise refuse(
            "mri_modality", f"{row['mri_modality']!r} must name a different modality for each of {len(mri)} mri."
        )
    volumes = [part.strip() for part in row["mri_volume"].split(";")] if row["mri_volume"] else [""] * len(mri)
    if len(volumes) != len(mri):
        raise refuse("mri_volume", f"{row['mri_volume']!r} must have one number, or none, for each of {len(mri)} mri.")
    if row["lesion"] and row["lesion_space"] == "":
        raise refuse("lesion_space", "'' is not allowed with a lesion; allowed: 'ncct', 'mri'.")
    if row["lesion_space"] == "mri" and not mri:
        raise refuse("lesion_space", "'mri' is not allowed without an mri; allowed: 'ncct'.")
    stripped = _split(row["stripped"])
    surplus = set(stripped) - {"ncct", *modalities}
    if surplus:
        raise refuse(
            "stripped", f"{sorted(surplus)} are not images of this row; allowed: ncct, {', '.join(modalities)}."
        )
    paths = {"ncct": (row["ncct"],), "mri": mri, "lesion": _split(row["lesion"])}
    paths["brain_mask"] = _split(row["brain_mask"])
    joined = {column: tuple(_as_stored(str(folder / path)) for path in given) for column, given in paths.items()}
    if check_paths and not row["exclude"]:
        for column, given in joined.items():
            for path in given:
                if not _is_there(Path(path)):
                    raise refuse(column, f"{path!r} does not exist; relative paths start from {str(folder)!r}.")
                if not may_read(Path(path)):
                    raise refuse(column, f"{path!r} may not be read by the user who runs this.")
    return Case(
        cohort=row["cohort"],
        patient=row["patient"],
        case=row["case"],
        ncct=joined["ncct"][0],
        ncct_series=int(row["ncct_series"]) if row["ncct_series"] else None,
        mri=joined["mri"],
        mri_modality=modalities,
        mri_volume=tuple(int(volume) if volume.strip() else None for volume in volumes),
        lesion=joined["lesion"][0] if joined["lesion"] else None,
        lesion_space=row["lesion_space"],
        lesion_labels=tuple(int(label) for label in _split(row["lesion_labels"])),
        brain_mask=joined["brain_mask"][0] if joined["brain_mask"] else None,
        mri_aligned=row["mri_aligned"] == "true",
        stripped=stripped,
        label_standard=row["label_standard"],
        side=row["side"],
        split=row["split"],
        exclude=row["exclude"],
    )


def _as_stored(path: str) -> str:
    """Return a path as the file system spells it: letters with accents have two forms, and systems differ in theirs."""
    if _is_there(Path(path)) or path.isascii():
        return path
    forms = [unicodedata.normalize(form, path) for form in ("NFC", "NFD")]
    return next((form for form in forms if _is_there(Path(form))), path)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long, or a folder above may not be entered
        return False


def may_read(path: Path) -> bool:
    """Whether the user who runs this may read a file, or list and enter a folder."""
    return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))


def _plain(column: str, cell: str) -> str:
    """Undo what spreadsheets and people do to words of the schema: TRUE or 1 for true, capitals, blanks beside a ;."""
    if column in NUMBERS:
        cell = re.sub(r"(?<![\d.])(\d+)\.0+(?![\d.])", r"\1", cell)
    if column not in WORDS:
        return cell
    cell = re.sub(r"\s*;\s*", ";", cell.lower())
    return FLAGS.get(cell, cell) if column == "mri_aligned" else cell


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())
