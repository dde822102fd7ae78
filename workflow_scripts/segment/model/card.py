"""The model card: what an exported model is, what it was trained on, how well it does, and what it is not for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from scipy import stats

from workflow_scripts.common.vocabulary import ALL_LESIONS, ENSEMBLE, HELD_OUT

TEMPLATE = "model_card.md.j2"
CONFIDENCE = 0.95
FEWEST = 5  # cases that an interval is given for
METRICS = {
    "dice": "Dice",
    "hd95_penalised_mm": "HD95, a missed lesion penalised (mm)",
    "volume_difference_ml": "volume, segmented − reference (mL)",
}


def metrics(scores: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return mean and confidence interval (Student's t) of the ensemble's scores on the held-out splits.

    One entry a split and metric: ``split``, ``metric``, ``cases``, ``mean``, ``low`` and ``high``, these two None where
    cases are too few. ``scores`` are rows of ``scores.tsv`` of the arm.
    """
    rows = [row for row in scores if row["member"] == ENSEMBLE and row["criterion"] == ALL_LESIONS]
    found = []
    for split in HELD_OUT:
        for metric, label in METRICS.items():
            values = np.array([float(row[metric]) for row in rows if row["split"] == split and row[metric]])
            if len(values):
                found.append({"split": split, "metric": label, "cases": len(values), **_interval(values)})
    return found


def _interval(values: np.ndarray) -> dict[str, float | None]:
    mean = float(values.mean())
    if len(values) < FEWEST:
        return {"mean": mean, "low": None, "high": None}
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def model_card(manifest: Mapping[str, Any], scores: Sequence[Mapping[str, Any]], plans: Mapping[str, Any]) -> str:
    """Fill the template; Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(TEMPLATE).render(metrics=scores, plans=plans, **manifest)
