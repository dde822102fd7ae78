"""Draw the Dice of the best arms as box plots with the significance of their differences (paper, Figs. 4–6)."""

import argparse
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import ENSEMBLE, REPORTED_CRITERIA, criterion_label
from workflow_scripts.report.drawing.points import MANY
from workflow_scripts.report.drawing.style import COLOURS, INK, MUTED, drawing
from workflow_scripts.report.tables.numbers import p_value, significance

LEAST_FOR_A_BOX = 5  # cases; fewer have no quartiles worth a box
FIRST_BRACKET, BRACKET_STEP = 1.06, 0.115


def panel_title(criterion: str, n: int, min_component_ml: float) -> str:
    """Return the heading of a panel, with its number of cases."""
    return f"{criterion_label(criterion, min_component_ml)} (n = {n})"


def draw_panel(
    axes: Axes, values: Sequence[np.ndarray], arms: Sequence[str], comparisons: Sequence[Mapping[str, str]]
) -> None:
    """Draw every case as a point, a box for each arm that has enough of them, and a bracket for each tested pair."""
    for position, (sample, colour) in enumerate(zip(values, cycle(COLOURS), strict=False)):
        if len(sample) >= LEAST_FOR_A_BOX:
            axes.boxplot(
                [sample],
                positions=[position],
                widths=0.5,
                showmeans=True,
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": colour + "33", "edgecolor": colour},
                whiskerprops={"color": colour},
                capprops={"color": colour},
                medianprops={"color": INK, "linewidth": 1.6},
                meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 4},
            )
        jitter = np.random.default_rng(0).uniform(-0.13, 0.13, len(sample))
        look = {"markersize": 3.4, "alpha": 0.75, "markeredgewidth": 0, "rasterized": len(sample) > MANY}
        axes.plot(position + jitter, sample, "o", color=colour, **look)
    tested = [row for row in comparisons if row["p_holm"]]
    for level, row in enumerate(tested):
        ends = sorted((arms.index(row["first"]), arms.index(row["second"])))
        height = FIRST_BRACKET + level * BRACKET_STEP
        axes.plot(
            [ends[0], ends[0], ends[1], ends[1]], [height - 0.02, height, height, height - 0.02], color=MUTED, lw=1
        )
        p = p_value(row["p_holm"])
        label = f"{significance(row['p_holm'])}  (p {'' if p.startswith('<') else '= '}{p})"
        axes.text(sum(ends) / 2, height + 0.008, label, ha="center", va="bottom", fontsize=7.5)
    axes.set_ylim(-0.03, FIRST_BRACKET + max(len(tested), 1) * BRACKET_STEP)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlim(-0.6, len(arms) - 0.4)
    axes.set_xticks(range(len(arms)), arms)


def draw(
    paths: Sequence[Path],
    scores: Sequence[Mapping[str, str]],
    comparisons: Sequence[Mapping[str, str]],
    arms: Sequence[str],
    cohort: str,
    split: str,
    min_component_ml: float,
) -> None:
    """Write the figure of one cohort and split: one panel with all lesions, one with the larger ones."""
    width = max(7.0, 2.4 + 2.2 * len(arms))
    with drawing(paths, width, 4.0) as figure:
        panels = figure.subplots(1, len(REPORTED_CRITERIA), sharey=True)
        for axes, criterion in zip(panels, REPORTED_CRITERIA, strict=True):
            here = {"cohort": cohort, "split": split, "criterion": criterion}
            values = [
                np.array(
                    [float(row["dice"]) for row in scores if _matches(row, here | {"arm": arm, "member": ENSEMBLE})]
                )
                for arm in arms
            ]
            drawn = [row for row in comparisons if _matches(row, here) and {row["first"], row["second"]} <= set(arms)]
            draw_panel(axes, values, arms, drawn)
            axes.set_title(panel_title(criterion, max(map(len, values)), min_component_ml))
            if not any(map(len, values)):
                axes.text(0.5, 0.5, "no labelled case", transform=axes.transAxes, ha="center", color=MUTED)
        panels[0].set_ylabel("Dice similarity coefficient")
        figure.suptitle(f"{cohort}, {split} set", x=0.01, ha="left", fontweight="bold")


def _matches(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(row[name] == value for name, value in wanted.items())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--comparisons", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", required=True, help="arms to draw, from left to right")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--min-component-ml", type=float, required=True, help="limit of criterion large, mL")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read scores and comparisons, write one figure."""
    arguments = _parse(argv)
    draw(
        arguments.out,
        read_tsv(arguments.scores),
        read_tsv(arguments.comparisons),
        arguments.arms,
        arguments.cohort,
        arguments.split,
        arguments.min_component_ml,
    )


if __name__ == "__main__":
    run(main)
