"""What is known of the cases beside their images: columns of a table, or entries of each case's case.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv

KEYS = ("cohort", "case")


@dataclass(frozen=True)
class Attribute:
    """One attribute of n cases: ``values`` are floats or words, ``known`` (n,) says where there is one."""

    name: str
    source: str
    values: np.ndarray
    known: np.ndarray

    @property
    def numeric(self) -> bool:
        """Say whether the values are numbers."""
        return self.values.dtype.kind == "f"


def read_attributes(
    names: Sequence[str], cases: Sequence[Mapping[str, str]], preprocess: Path, table: Path | None
) -> list[Attribute]:
    """Return the named attributes of some cases, in the order of both.

    Parameters
    ----------
    names
        columns of the table; a name that is none stands for an entry of ``facts`` or ``quality`` in case.json, ``a.b``
        for entry b inside a
    cases
        rows with cohort and case
    preprocess
        folder that holds ``{cohort}/{case}/case.json``
    table
        TSV with the columns cohort and case and further ones; a case without a row has no value

    Raises
    ------
    InputError
        when the table is none, when a name is nowhere, or when values are neither all numbers nor all words
    """
    rows = _read_table(table) if table else {}
    columns = list(next(iter(rows.values()), {}))
    described: list[Mapping[str, Any]] = []
    if not set(names) <= set(columns):
        described = [_entries(preprocess / case["cohort"] / case["case"] / "case.json") for case in cases]
    attributes = []
    for name in names:
        if name in columns:
            source, values = "table", [rows.get((case["cohort"], case["case"]), {}).get(name) for case in cases]
        else:
            source, values = "case.json", [_entry(entries, name, columns) for entries in described]
        attributes.append(_attribute(name, source, values))
    return attributes


def _read_table(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in read_tsv(path):
        if not set(KEYS) <= set(row):
            raise InputError(f"{path} lacks one of the columns {', '.join(KEYS)}.", "give probe.table both.")
        key = (row["cohort"], row["case"])
        if key in found:
            raise InputError(f"{path} has two rows for {'/'.join(key)}.", "leave one.")
        found[key] = {name: cell for name, cell in row.items() if name not in KEYS}
    return found


def _entries(path: Path) -> dict[str, Any]:
    case = read_json(path)
    return case["facts"] | case["quality"]


def _entry(entries: Mapping[str, Any], name: str, columns: Sequence[str]) -> Any:
    value: Any = entries
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(
                f"The attribute {name!r} is no column of probe.table ({', '.join(columns) or 'no table'}) and no entry "
                f"of the case.json of {entries['cohort']}/{entries['case']} ({', '.join(sorted(entries))}).",
                "change probe.attributes.",
            )
        value = value[part]
    return value


def _attribute(name: str, source: str, values: Sequence[Any]) -> Attribute:
    known = np.array([value not in (None, "") for value in values])
    numbers = [_number(value) for value in values]
    present = [number for number, there in zip(numbers, known, strict=True) if there]
    if all(number is not None for number in present):
        return Attribute(name, source, np.array([np.nan if n is None else n for n in numbers], float), known)
    words = [value for value, number in zip(values, numbers, strict=True) if number is None and value not in (None, "")]
    if len(words) < len(present) or not all(isinstance(word, str) for word in words):
        raise InputError(
            f"The attribute {name!r} ({source}) is neither all numbers nor all words: {words[0]!r}.",
            "leave the cell empty where the value is not known.",
        )
    return Attribute(name, source, np.array([value or "" for value in values]), known)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) else None
