"""Draw predicted against reference volumes, and the differences against their means (Bland and Altman)."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.points import MANY, looks, scored, values
from workflow_scripts.report.drawing.style import INK, MUTED, drawing

LIMITS_OF_AGREEMENT = 1.96  # standard deviations
LEAST_FOR_LIMITS = 3
LEAST_ML = 0.1  # where the logarithmic axis begins; smaller volumes and none stand there
LEAST_RANGE = 20  # of the logarithmic axes, so that they have ticks enough
PANEL_WIDTH, PANEL_HEIGHT, ARMS_A_ROW = 3.3, 2.9, 3

Row = Mapping[str, str]


def draw(paths: Sequence[Path], rows: Sequence[Row], arms: Sequence[str], heading: str) -> None:
    """Draw for each arm a scatter of volumes and, under it, a Bland–Altman plot."""
    shown = [arm for arm in arms if any(row["arm"] == arm for row in rows)] or list(arms[:1])
    columns = min(len(shown), ARMS_A_ROW)
    blocks = -(-len(shown) // columns)
    with drawing(paths, max(PANEL_WIDTH * columns, 6.4), 2 * PANEL_HEIGHT * blocks + 0.4) as figure:
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        grid = figure.subplots(2 * blocks, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for index, (arm, look) in enumerate(zip(shown, looks(shown), strict=True)):
            block, place = divmod(index, columns)
            reference, predicted = values(rows, arm, "reference_ml"), values(rows, arm, "predicted_ml")
            for axes, panel in zip(grid[2 * block : 2 * block + 2, place], (_scatter, _bland_altman), strict=True):
                axes.set_visible(True)
                if len(reference):
                    panel(axes, reference, predicted, look)
                else:
                    axes.text(0.5, 0.5, "no scored case", transform=axes.transAxes, ha="center", color=MUTED)
            grid[2 * block, place].set_title(f"{arm} (n = {len(reference)})")


def _scatter(axes: Axes, reference: np.ndarray, predicted: np.ndarray, look: Mapping[str, str]) -> None:
    x, y = np.maximum(reference, LEAST_ML), np.maximum(predicted, LEAST_ML)
    top = 1.6 * max(x.max(), y.max())
    low = min(x.min() / 1.6, y.min() / 1.6, top / LEAST_RANGE)
    axes.plot([low, top], [low, top], color=MUTED, lw=0.9, ls=":")
    axes.plot(x, y, ls="", markersize=5, alpha=0.8, markeredgewidth=0, rasterized=len(x) > MANY, **look)
    axes.set(xscale="log", yscale="log", xlim=(low, top), ylim=(low, top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=9))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.set_xlabel("reference volume (mL)")
    axes.set_ylabel("predicted volume (mL)")


def _bland_altman(axes: Axes, reference: np.ndarray, predicted: np.ndarray, look: Mapping[str, str]) -> None:
    difference = predicted - reference
    axes.axhline(0, color=MUTED, lw=0.9, ls=":")
    points = {"ls": "", "markersize": 5, "alpha": 0.8, "markeredgewidth": 0, "rasterized": len(difference) > MANY}
    axes.plot((predicted + reference) / 2, difference, **points, **look)
    if len(difference) >= LEAST_FOR_LIMITS:
        mean, width = difference.mean(), LIMITS_OF_AGREEMENT * difference.std(ddof=1)
        for value, style in ((mean, "-"), (mean - width, "--"), (mean + width, "--")):
            axes.axhline(value, color=INK, lw=1, ls=style)
            label = f"{value:.1f}".replace("-", "−")
            axes.annotate(label, (1, value), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=7.5)
    axes.margins(x=0.08, y=0.16)
    axes.set_xlabel("mean of both (mL)")
    axes.set_ylabel("predicted − reference (mL)")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the scores, write one figure."""
    arguments = _parse(argv)
    rows = scored(read_tsv(arguments.scores), arguments.cohort, arguments.split)
    draw(arguments.out, rows, arguments.arms, f"{arguments.cohort}, {arguments.split} set: lesion volumes")


if __name__ == "__main__":
    run(main)
