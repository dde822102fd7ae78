"""The case sheet: one row a case, checked cell by cell."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from workflow_scripts.study.schemas import StudyError, allowed, load_schema

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
    lesion: str | None
    lesion_space: str
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
    rows = _rows_of(sheet, schema)
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
    return cases


def _rows_of(sheet: Path, schema: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Read the cells of a sheet, with the number of the line that each row ends in."""
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t", restkey="surplus", restval="", strict=True)
            _check_columns(sheet, list(reader.fieldnames or []), schema)
            return [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise StudyError(f"{sheet}: the case sheet is not UTF-8; save it as text with that encoding.") from None
    except csv.Error as error:
        raise StudyError(
            f"{sheet}: the case sheet is not tab-separated text ({error}); a quotation mark is not closed."
        ) from None


def _check_columns(sheet: Path, columns: list[str], schema: Mapping[str, Any]) -> None:
    known = list(schema["properties"])
    unknown = [column for column in columns if column not in known]
    missing = [column for column in schema["required"] if column not in columns]
    if unknown or missing:
        raise StudyError(
            f"{sheet}, row 1: unknown columns {unknown}, missing columns {missing}; "
            f"a case sheet has the tab-separated columns {', '.join(known)}."
        )


def _cell_check(schema: Mapping[str, Any]) -> CellCheck:
    """Return a function that finds the error in a cell; a value that many rows share is checked once."""
    whole = jsonschema.Draft202012Validator(schema)
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
        raise StudyError(f"{sheet}, row {number}: more cells than columns ({row['surplus']!r} are left over).")
    row = {column: cell.strip() for column, cell in row.items()}
    for column, cell in row.items():
        if "\n" in cell or "\t" in cell:
            raise refuse(column, f"{cell[:30]!r}… spans several cells; remove the quotation marks.")
        if error := error_in(column, cell):
            raise refuse(column, allowed(error))
    mri, modalities = _split(row["mri"]), tuple(m.lower() for m in _split(row["mri_modality"]))
    if len(mri) != len(modalities) or len(set(modalities)) != len(modalities):
        raise refuse(
            "mri_modality", f"{row['mri_modality']!r} must name a different modality for each of {len(mri)} mri."
        )
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
    joined = {column: tuple(str(folder / path) for path in given) for column, given in paths.items()}
    if check_paths and not row["exclude"]:
        for column, given in joined.items():
            for path in given:
                if not Path(path).exists():
                    raise refuse(column, f"{path!r} does not exist; relative paths start from {str(folder)!r}.")
    return Case(
        cohort=row["cohort"],
        patient=row["patient"],
        case=row["case"],
        ncct=joined["ncct"][0],
        ncct_series=int(row["ncct_series"]) if row.get("ncct_series") else None,
        mri=joined["mri"],
        mri_modality=modalities,
        lesion=joined["lesion"][0] if joined["lesion"] else None,
        lesion_space=row["lesion_space"],
        mri_aligned=row["mri_aligned"] == "true",
        stripped=stripped,
        label_standard=row["label_standard"],
        side=row["side"],
        split=row["split"],
        exclude=row["exclude"],
    )


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())
