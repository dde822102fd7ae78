"""Draw how well attributes can be read from pretrained features, beside those of untrained networks."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.style import COLOURS, INK, MUTED, drawing

PANEL_WIDTH, ROW_HEIGHT, PANEL_MARGIN = 4.6, 0.36, 0.75
SPREAD = 0.16
KINDS = (
    ("pretrained", COLOURS[0], "o", -1.5 * SPREAD),
    ("random", MUTED, "s", -0.5 * SPREAD),
    ("moments", COLOURS[1], "^", 0.5 * SPREAD),
    ("histogram", COLOURS[2], "D", 1.5 * SPREAD),
)
LABELS = {"moments": "mask moments", "histogram": "HU histogram"}
TITLES = {"linear probe": "linear probe on held-out heads", "neighbours": "nearest neighbours"}
LOWEST = -1.0

Rows = Sequence[Mapping[str, str]]


def draw(paths: Sequence[Path], tables: Sequence[Rows], confidence: float) -> None:
    """Draw one row of panels for each table probe.tsv: the skill of each kind of features with its interval."""
    names = [list(dict.fromkeys(row["attribute"] for row in rows)) for rows in tables]
    heights = [ROW_HEIGHT * len(attributes) + PANEL_MARGIN for attributes in names]
    with drawing(paths, 2 * PANEL_WIDTH, sum(heights) + 0.3) as figure:
        grid = figure.subplots(len(tables), 2, squeeze=False, sharex=True, height_ratios=heights)
        for line, rows, attributes in zip(grid, tables, names, strict=True):
            for axes, (measure, title) in zip(line, TITLES.items(), strict=True):
                _panel(axes, [row for row in rows if row["measure"] == measure])
                axes.set_title(f"{rows[0]['pretraining']}: {title}")
            line[0].set_yticks(range(len(attributes)), attributes)
            line[1].set_yticks(range(len(attributes)), [""] * len(attributes))
        for axes in grid[-1]:
            axes.set_xlabel("skill: 0 chance, 1 perfect", color=MUTED)
        handles = [
            grid[0, 0].plot([], [], f"{marker}-", color=colour, label=LABELS.get(kind, f"{kind} features"))[0]
            for kind, colour, marker, _ in KINDS
        ]
        figure.legend(
            handles=handles, loc="outside upper right", ncols=4, title=f"with {100 * confidence:g} % intervals"
        )


def _panel(axes: Axes, rows: Rows) -> None:
    """Draw one measure of one pretraining; what reaches below the panel ends in an arrow."""
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        if not row["pretrained"]:
            axes.text(0.02, place, row["note"], color=MUTED, fontsize=7, va="center")
        for kind, colour, marker, offset in KINDS if row["pretrained"] else ():
            value, low, high = (float(row[f"{kind}{part}"]) for part in ("", "_low", "_high"))
            at = place + offset
            axes.plot([max(low, LOWEST), max(high, LOWEST)], [at, at], color=colour)
            axes.plot(max(value, LOWEST), at, marker, color=colour, markersize=5)
            if low < LOWEST:
                axes.plot(LOWEST, at, "<", color=colour, markersize=4)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(LOWEST - 0.05, 1.05)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=Path, nargs="+", required=True, help="probe.tsv of each pretraining")
    parser.add_argument("--confidence", type=float, required=True, help="level of the intervals")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the tables of all pretrainings, write one figure."""
    arguments = _parse(argv)
    draw(arguments.out, [read_tsv(path) for path in arguments.probes], arguments.confidence)


if __name__ == "__main__":
    run(main)
