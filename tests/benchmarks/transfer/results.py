"""Means, intervals over patients and draws, and how many labels a pretraining is worth."""

from collections.abc import Mapping, Sequence

import numpy as np

Scores = Mapping[int, np.ndarray]  # budget of labels -> Dice (draws, patients)


def interval(scores: np.ndarray, samples: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean of (draws, patients), with 95 % limits when draws and patients are both drawn anew."""
    draws, patients = scores.shape
    means = [
        scores[rng.integers(draws, size=draws)][:, rng.integers(patients, size=patients)].mean() for _ in range(samples)
    ]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(scores.mean()), float(low), float(high)


def labels_worth(value: float, scratch: Sequence[tuple[int, float]]) -> float:
    """How many labels training from scratch needs for a Dice: between budgets by the logarithm; inf beyond the last."""
    budgets, means = zip(*sorted(scratch), strict=True)
    means = np.maximum.accumulate(means)
    if value > means[-1]:
        return float("inf")
    return float(np.exp(np.interp(value, means, np.log(budgets))))


def table(scores: Mapping[str, Scores], samples: int, seed: int) -> list[str]:
    """Rows of Markdown: Dice of each pretraining and budget, its gain over scratch, and the label-efficiency factor."""
    rng = np.random.default_rng(seed)
    scratch = [(budget, float(values.mean())) for budget, values in scores["scratch"].items()]
    lines = ["| labels | first weights | Dice | over scratch | labels worth |", "|---|---|---|---|---|"]
    for budget in sorted(scores["scratch"]):
        for name, found in scores.items():
            if budget not in found:
                continue
            mean, low, high = interval(found[budget], samples, rng)
            gain, worth = "", ""
            if name != "scratch":
                difference, less, more = interval(found[budget] - scores["scratch"][budget], samples, rng)
                bold = "**" if less > 0 or more < 0 else ""
                gain = f"{bold}{difference:+.3f} ({less:+.3f} to {more:+.3f}){bold}"
                factor = labels_worth(mean, scratch) / budget
                worth = f"{factor:.2f}" if np.isfinite(factor) else f"> {max(scores['scratch']) / budget:.1f}"
            lines.append(f"| {budget} | {name} | {mean:.3f} ({low:.3f} to {high:.3f}) | {gain} | {worth} |")
    return lines
