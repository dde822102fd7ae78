"""Means, intervals over patients and draws, and how many labels a pretraining is worth."""

from collections.abc import Mapping, Sequence

import numpy as np

from workflow_scripts.evaluate.measures.label_curve import Curve, Samples, interval, labels_needed

CONFIDENCE = 0.95


def table(scores: Mapping[str, Curve], samples: int, seed: int) -> list[str]:
    """Rows of Markdown: Dice of each pretraining and budget, its gain over scratch, and the label-efficiency factor."""
    draws, patients = zip(*(values.shape for values in scores["scratch"].values()), strict=True)
    sampled = Samples.drawn(patients[0], draws, samples, seed)
    budgets = sorted(scores["scratch"])
    scratch = [float(scores["scratch"][budget].mean()) for budget in budgets]

    def told(values: np.ndarray, sign: str = "") -> tuple[str, bool]:
        low, high = interval(sampled.means(values), patients[0], CONFIDENCE)
        if low is None or high is None:
            return f"{values.mean():{sign}.3f}", False
        return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})", low > 0 or high < 0

    lines = ["| labels | first weights | Dice | over scratch | labels worth |", "|---|---|---|---|---|"]
    for budget in budgets:
        for name, found in scores.items():
            if budget not in found:
                continue
            gain, worth = "", ""
            if name != "scratch":
                gain, clear = told(found[budget] - scores["scratch"][budget], "+")
                gain = f"**{gain}**" if clear else gain
                factor = np.exp(labels_needed(found[budget].mean(), budgets, scratch)) / budget
                worth = f"{factor:.2f}" if 0 < factor < np.inf else _beyond(budgets, budget, factor)
            lines.append(f"| {budget} | {name} | {told(found[budget])[0]} | {gain} | {worth} |")
    return lines


def _beyond(budgets: Sequence[int], budget: int, factor: float) -> str:
    return f"> {budgets[-1] / budget:.1f}" if factor else f"< {budgets[0] / budget:.2f}"
