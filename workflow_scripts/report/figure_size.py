"""Draw the Dice of every case against the volume of its lesions."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.points import MANY, looks, scored, values
from workflow_scripts.report.drawing.style import INK, MUTED, drawing

LEAST_ML = 0.1  # where the logarithmic axis begins; cases without a lesion stand there

Row = Mapping[str, str]


def draw(
    paths: Sequence[Path], rows: Sequence[Row], arms: Sequence[str], heading: str, min_component_ml: float
) -> None:
    """Draw one point for each arm and case; a dotted line is the volume that criterion ``large`` asks for."""
    with drawing(paths, 7.4, 3.9) as figure:
        axes = figure.subplots()
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        if min_component_ml > LEAST_ML:
            axes.axvline(min_component_ml, color=INK, lw=0.9, ls=":")
        for arm, look in zip(arms, looks(arms), strict=True):
            volume, dice = values(rows, arm, "reference_ml"), values(rows, arm, "dice")
            points = {"ls": "", "markersize": 5, "alpha": 0.8, "markeredgewidth": 0, "rasterized": len(dice) > MANY}
            axes.plot(np.maximum(volume, LEAST_ML), dice, label=f"{arm} (n = {len(dice)})", **points, **look)
        axes.set(xscale="log", ylim=(-0.04, 1.04))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=12))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("reference volume (mL)")
        axes.set_ylabel("Dice similarity coefficient")
        if not rows:
            axes.text(0.5, 0.5, "no scored case", transform=axes.transAxes, ha="center", color=MUTED)
        figure.legend(loc="outside lower left", ncols=3, fontsize=8)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--min-component-ml", type=float, required=True, help="limit of criterion large, mL")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the scores, write one figure."""
    arguments = _parse(argv)
    rows = scored(read_tsv(arguments.scores), arguments.cohort, arguments.split)
    heading = f"{arguments.cohort}, {arguments.split} set: Dice and lesion volume"
    draw(arguments.out, rows, arguments.arms, heading, arguments.min_component_ml)


if __name__ == "__main__":
    run(main)
