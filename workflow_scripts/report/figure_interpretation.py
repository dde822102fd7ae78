"""Draw the projected cases, and NCCT and attribution of neighbouring cases (paper, Figs. 8 and B.9)."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.style import COLOURS, INK, MUTED, bare, drawing

KINDS = {"lesion": ("o", "lesion"), "free": ("s", "no lesion"), "unknown": ("^", "not labelled")}
PERCENTILE = 99.5
TILE, SCATTER_HEIGHT = 0.85, 3.2

Rows = Sequence[Mapping[str, str]]


def kind_of(lesion_ml: str) -> str:
    """Say whether a case has a lesion, by its volume in the split table: lesion, free or unknown."""
    if lesion_ml == "":
        return "unknown"
    return "lesion" if float(lesion_ml) > 0 else "free"


def draw(
    paths: Sequence[Path], embedding: Rows, neighbours: Rows, splits: Rows, slices: Mapping[str, np.ndarray], title: str
) -> None:
    """Draw the scatter, and below it the groups' images and attributions, one row for each group and channel."""
    groups = sorted({int(row["group"]) for row in neighbours})
    columns = 1 + max(int(row["neighbour"]) for row in neighbours)
    channels = len(slices["image-0-0"])
    rows = len(groups) * channels
    with drawing(paths, max(2 * columns * TILE, 9.0), SCATTER_HEIGHT + rows * TILE * 1.25 + 0.5) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        top, bottom = figure.subfigures(2, 1, height_ratios=(SCATTER_HEIGHT, rows * TILE * 1.25))
        lesions = {(row["cohort"], row["case"]): kind_of(row["lesion_ml"]) for row in splits}
        _scatter(top.subplots(), embedding, neighbours, lesions)
        left, right = bottom.subfigures(1, 2)
        left.suptitle("NCCT" if channels == 1 else "Channels: NCCT, difference", fontsize=9)
        right.suptitle("Attribution: red raises, blue lowers the summed representation", fontsize=9)
        _tiles(left, groups, columns, slices, "image")
        _tiles(right, groups, columns, slices, "attribution")


def _scatter(axes: Axes, embedding: Rows, neighbours: Rows, lesions: Mapping[tuple[str, str], str]) -> None:
    cohorts = list(dict.fromkeys(row["cohort"] for row in embedding))
    for row in embedding:
        marker, _ = KINDS[lesions[row["cohort"], row["case"]]]
        colour = COLOURS[cohorts.index(row["cohort"]) % len(COLOURS)]
        axes.plot(float(row["x"]), float(row["y"]), marker, color=colour, alpha=0.75, markersize=5, markeredgewidth=0)
    for row in neighbours:
        if row["neighbour"] == "0":
            at = (float(row["x"]), float(row["y"]))
            axes.plot(*at, "o", markerfacecolor="none", markeredgecolor=INK, markersize=10, markeredgewidth=1.5)
            axes.annotate(
                chr(ord("a") + int(row["group"])), at, xytext=(7, 5), textcoords="offset points", fontweight="bold"
            )
    handles: list[Artist] = [
        Patch(color=COLOURS[index % len(COLOURS)], label=cohort) for index, cohort in enumerate(cohorts)
    ]
    used = {lesions[row["cohort"], row["case"]] for row in embedding}
    handles += [
        axes.plot([], [], marker, color=MUTED, label=label, markeredgewidth=0)[0]
        for kind, (marker, label) in KINDS.items()
        if kind in used
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"t-SNE of {len(embedding)} cases ({_splits_of(embedding)})", color=MUTED)


def _splits_of(embedding: Rows) -> str:
    return ", ".join(dict.fromkeys(row["split"] for row in embedding))


def _tiles(figure: SubFigure, groups: Sequence[int], columns: int, slices: Mapping[str, np.ndarray], kind: str) -> None:
    channels = len(slices["image-0-0"])
    grid = figure.subplots(len(groups) * channels, columns, squeeze=False)
    for axes in grid.flat:
        bare(axes)
    for row, line in enumerate(grid):
        group, channel = divmod(row, channels)
        if channel == 0:
            line[0].set_ylabel(chr(ord("a") + group), rotation=0, ha="right", va="center", fontweight="bold")
        for neighbour, axes in enumerate(line):
            name = f"{kind}-{groups[group]}-{neighbour}"
            if name in slices:
                _tile(axes, _displayed(slices[name][channel]), kind)


def _displayed(picture: np.ndarray) -> np.ndarray:
    """Turn a slice (y, x) of a RAS+ array to radiological convention: front up, the patient's right at the left."""
    return picture[::-1, ::-1]


def _tile(axes: Axes, picture: np.ndarray, kind: str) -> None:
    if kind == "image":
        low, high = np.percentile(picture, (1, PERCENTILE))
        axes.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bilinear")
        return
    limit = max(float(np.percentile(np.abs(picture), PERCENTILE)), 1e-12)
    axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding", type=Path, required=True)
    parser.add_argument("--neighbours", type=Path, required=True)
    parser.add_argument("--slices", type=Path, required=True, help="NPZ")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage, for the lesions")
    parser.add_argument("--pretraining", required=True, help="name that stands in the heading")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what rule pretrain_interpret wrote, write one figure."""
    arguments = _parse(argv)
    with np.load(arguments.slices) as archive:
        slices = dict(archive)
    tables = [read_tsv(path) for path in (arguments.embedding, arguments.neighbours, arguments.splits)]
    draw(arguments.out, *tables, slices, f"Encoder pretrained on {arguments.pretraining}")


if __name__ == "__main__":
    run(main)
