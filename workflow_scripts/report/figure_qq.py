"""Draw the differences of Dice of each compared pair against a normal distribution (QQ plots)."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS
from workflow_scripts.report.drawing.points import patient_means, scored
from workflow_scripts.report.drawing.style import COLOURS, MUTED, drawing

LEAST = 3
COLUMNS, PANEL = 4, 2.6

Row = Mapping[str, str]


def pairs_of(comparisons: Sequence[Row], cohort: str, split: str) -> list[tuple[str, str]]:
    """Return the compared pairs (first, second) of a cohort and split, each once."""
    wanted = {"cohort": cohort, "split": split, "criterion": ALL_LESIONS}
    rows = [row for row in comparisons if all(row[name] == value for name, value in wanted.items())]
    return list(dict.fromkeys((row["first"], row["second"]) for row in rows))


def differences(rows: Sequence[Row], pair: tuple[str, str]) -> np.ndarray:
    """Return second − first for each patient that both arms have, shape (patients,)."""
    first, second = (patient_means(rows, arm, "dice") for arm in pair)
    return np.array([second[patient] - first[patient] for patient in first if patient in second])


def draw(paths: Sequence[Path], rows: Sequence[Row], pairs: Sequence[tuple[str, str]], heading: str) -> None:
    """Draw one panel for each pair, with the line through the quartiles of a normal distribution's mean and spread."""
    columns = max(min(len(pairs), COLUMNS), 1)
    lines = max(-(-len(pairs) // columns), 1)
    with drawing(paths, max(PANEL * columns, 5.2), PANEL * lines + 0.5) as figure:
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[max(len(pairs), 1) :]:
            axes.set_visible(False)
        if not pairs:
            grid[0, 0].text(0.5, 0.5, "no compared pair", transform=grid[0, 0].transAxes, ha="center", color=MUTED)
        for axes, pair in zip(grid.flat, pairs, strict=False):
            _panel(axes, differences(rows, pair))
            axes.set_title(f"{pair[1]}\n− {pair[0]}", fontsize=8)


def _panel(axes: Axes, sample: np.ndarray) -> None:
    axes.set_xlabel("normal quantile")
    axes.set_ylabel("difference of Dice")
    if len(sample) < LEAST:
        axes.text(0.5, 0.5, f"n = {len(sample)}: too few", transform=axes.transAxes, ha="center", color=MUTED)
        return
    quantiles, ordered = stats.probplot(sample, fit=False)
    axes.plot(quantiles, sample.mean() + sample.std(ddof=1) * quantiles, color=MUTED, lw=1)
    axes.plot(quantiles, ordered, "o", color=COLOURS[0], markersize=4, markeredgewidth=0, alpha=0.8)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--comparisons", type=Path, required=True)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read scores and comparisons, write one figure."""
    arguments = _parse(argv)
    of = (arguments.cohort, arguments.split)
    rows = scored(read_tsv(arguments.scores), *of)
    heading = f"{arguments.cohort}, {arguments.split} set: are the differences normal?"
    draw(arguments.out, rows, pairs_of(read_tsv(arguments.comparisons), *of), heading)


if __name__ == "__main__":
    run(main)
