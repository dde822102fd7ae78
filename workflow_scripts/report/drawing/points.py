"""Values of cases and patients for drawings, and the look of arms in them."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from workflow_scripts.common.vocabulary import ALL_LESIONS, ENSEMBLE
from workflow_scripts.report.drawing.style import COLOURS

Row = Mapping[str, str]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MANY = 300  # points beyond this are a picture inside the SVG, or its file grows with every case


def scored(scores: Sequence[Row], cohort: str, split: str) -> list[Row]:
    """Return the rows of the ensembles with all lesions in one cohort and split, a row an arm and case."""
    wanted = {"member": ENSEMBLE, "criterion": ALL_LESIONS, "cohort": cohort, "split": split}
    return [row for row in scores if all(row[name] == value for name, value in wanted.items())]


def values(rows: Sequence[Row], arm: str, column: str) -> np.ndarray:
    """Return a column of an arm's rows as numbers, shape (cases,)."""
    return np.array([float(row[column]) for row in rows if row["arm"] == arm])


def patient_means(rows: Sequence[Row], arm: str, column: str) -> dict[str, float]:
    """Return the mean of a column over the scans of each patient, as the comparisons take it."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["arm"] == arm and row[column]:
            found.setdefault(row["patient"], []).append(float(row[column]))
    return {patient: float(np.mean(numbers)) for patient, numbers in found.items()}


def looks(arms: Sequence[str]) -> list[dict[str, str]]:
    """Return colour and marker of each arm, so that arms are told apart without colour too."""
    return [{"color": c, "marker": m} for _, c, m in zip(arms, cycle(COLOURS), cycle(MARKERS), strict=False)]
