"""Draw the Dice of the arms against the number of labelled patients, and the factor of labels saved."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS
from workflow_scripts.report.drawing.style import COLOURS, INK, MUTED, drawing
from workflow_scripts.report.pages.label_words import WHOLE_CURVE, factor_in_words

MARKERS = "osD^vPX*"
APART = 0.012  # of the width, so that the intervals of two arms at one number of labels do not cover each other

Row = Mapping[str, str]


def draw(paths: Sequence[Path], curve: Sequence[Row], savings: Sequence[Row], heading: str, confidence: float) -> None:
    """Draw the curves of one cohort and split; ``curve`` and ``savings`` hold its rows of all lesions."""
    with drawing(paths, 6.4, 3.9 + 0.18 * len(savings)) as figure:
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        axes = figure.subplots()
        _draw_curves(axes, curve)
        axes.set_xlabel("labelled patients in training (logarithmic)")
        axes.set_ylabel("mean Dice of single models")
        if savings:
            said = [f"{row['second']} over {row['first']}: {factor_in_words(row, confidence)}" for row in savings]
            figure.supxlabel("Factor of labels. " + "\n".join(said), x=0.01, ha="left", fontsize=7.5, color=INK)


def _draw_curves(axes: Axes, curve: Sequence[Row]) -> None:
    arms = list(dict.fromkeys(row["arm"] for row in curve))
    if not arms:
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", color=MUTED)
        return
    axes.set_xscale("log")
    labels = sorted({int(row["labels"]) for row in curve})
    span = max(labels) / min(labels)
    for place, arm in enumerate(arms):
        rows = [row for row in curve if row["arm"] == arm]
        shift = span ** (APART * (place - (len(arms) - 1) / 2))
        at = np.array([int(row["labels"]) for row in rows]) * shift
        dice = np.array([float(row["dice"]) for row in rows])
        colour = COLOURS[place % len(COLOURS)]
        look = {"color": colour, "marker": MARKERS[place % len(MARKERS)], "markersize": 5, "label": arm}
        axes.plot(at, dice, **look)
        for x, row in zip(at, rows, strict=True):
            if row["dice_low"]:
                axes.plot([x, x], [float(row["dice_low"]), float(row["dice_high"])], color=colour, lw=1, alpha=0.8)
    axes.xaxis.set_major_locator(FixedLocator(labels))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(number) for number in labels])
    axes.set_xlim(min(labels) / max(span**0.06, 1.1), max(labels) * max(span**0.06, 1.1))
    low, high = axes.get_ylim()
    axes.set_ylim(max(min(low, 0.0), -0.05) if low < 0.1 else low, max(high, low + 0.05))
    axes.legend(loc="best")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", type=Path, required=True, help="label_curve.tsv")
    parser.add_argument("--savings", type=Path, required=True, help="label_savings.tsv")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--confidence", type=float, required=True, help="level of the intervals")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read curves and savings, write one figure."""
    arguments = _parse(argv)
    here = {"cohort": arguments.cohort, "split": arguments.split, "criterion": ALL_LESIONS}
    curve, savings = (
        [row for row in read_tsv(path) if all(row[name] == value for name, value in here.items())]
        for path in (arguments.curve, arguments.savings)
    )
    whole = [row for row in savings if row["labels"] == WHOLE_CURVE]
    heading = f"{arguments.cohort}, {arguments.split} set: Dice against labels"
    draw(arguments.out, curve, whole, heading, arguments.confidence)


if __name__ == "__main__":
    run(main)
