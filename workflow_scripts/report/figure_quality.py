"""Draw the numbers by which the preprocessing is judged, one point for each case."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.style import COLOURS, drawing
from workflow_scripts.report.pages.quality import read_cases

PANELS = (
    ("quality", "concern", "concern (1: limit of a flag)"),
    ("facts", "brain_ml", "brain volume (mL)"),
    ("quality", "cross_check_dice", "agreement of two brain masks (Dice)"),
    ("quality", "hull_excess", "convex hull beyond the mask (share)"),
)
CALM, FLAGGED = COLOURS[0], COLOURS[7]


def draw(paths: Sequence[Path], cases: Sequence[Mapping[str, Any]]) -> None:
    """Draw numbers of the cases (contents of ``case.json``); flagged cases are marked by colour and shape."""
    cohorts = list(dict.fromkeys(case["facts"]["cohort"] for case in cases))
    with drawing(paths, 11.6, 0.9 + 0.5 * len(cohorts)) as figure:
        for axes, (part, key, label) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
            generator = np.random.default_rng(0)
            for case in cases:
                height = cohorts.index(case["facts"]["cohort"]) + generator.uniform(-0.25, 0.25)
                look = {"color": FLAGGED, "marker": "X"} if case["quality"]["flags"] else {"color": CALM, "marker": "o"}
                if case[part][key] is not None:
                    axes.plot(case[part][key], height, markersize=4.5, alpha=0.8, markeredgewidth=0, ls="", **look)
            axes.set_xlabel(label)
            axes.grid(axis="x")
            axes.margins(x=0.1)
        axes.set_yticks(range(len(cohorts)), cohorts)
        axes.set_ylim(len(cohorts) - 0.5, -0.5)
        entries = (("no flag", CALM, "o"), ("flagged", FLAGGED, "X"))
        handles = [axes.plot([], [], color=c, marker=m, ls="", markersize=5, label=name)[0] for name, c, m in entries]
        figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage, which names the cases")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/case.json")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what is known of all cases, write one figure."""
    arguments = _parse(argv)
    draw(arguments.out, read_cases(arguments.preprocess, read_tsv(arguments.splits)))


if __name__ == "__main__":
    run(main)
