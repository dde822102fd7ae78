"""Whether each mask of the case sheet is of one patient, and no other image: cells that were copied and not changed."""

from collections.abc import Iterable, Iterator
from typing import Protocol

MASKS = ("lesion", "brain_mask")


class Row(Protocol):
    """What is asked of a case: who it is, and the paths of its images and masks."""

    cohort: str
    patient: str
    ncct: str
    mri: tuple[str, ...]
    lesion: str | None
    brain_mask: str | None
    exclude: str


def first_shared(rows: Iterable[tuple[int, Row]]) -> tuple[int, str, str] | None:
    """Return row, column and complaint of the first mask that has another role too, or is another patient's.

    ``rows`` are numbered; those with ``exclude`` do not count. One patient's masks may serve several of its scans.
    """
    owners: dict[tuple[str, str], tuple[int, tuple[str, str]]] = {}
    for number, row in rows:
        for column, path in () if row.exclude else _masks(row):
            others = {"ncct": (row.ncct,), "mri": row.mri, **{name: (getattr(row, name),) for name in MASKS}}
            if twice := [name for name, paths in others.items() if name != column and path in paths]:
                return number, column, f"the same file as column {twice[0]}; name the mask."
            first, owner = owners.setdefault((column, path), (number, (row.cohort, row.patient)))
            if owner != (row.cohort, row.patient):
                return number, column, f"the same file as in row {first}, of another patient; name this patient's mask."
    return None


def _masks(row: Row) -> Iterator[tuple[str, str]]:
    for column in MASKS:
        if path := getattr(row, column):
            yield column, path
