"""Show heads beside their nearest neighbours by pretrained and by random features."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report.drawing.slices import load_ras, plane, spread
from workflow_scripts.report.drawing.style import MUTED, bare, drawing

SHARES = (0.1, 0.5, 0.9)
WINDOW_HU = (0, 80)
SAGITTAL = 0
TILE = 1.3

Row = Mapping[str, str]


def choose(rows: Sequence[Row]) -> list[list[Row]]:
    """Return three heads with their neighbours, a list of rows each: the head, by pretrained and by random features.

    Cases with a value are put in its order, and those a tenth, half and nine tenths along are taken.
    """
    heads = [row for row in rows if row["rank"] == "0" and row["features"] == "pretrained" and row["value"]]
    heads.sort(key=lambda row: (_order(row["value"]), row["cohort"], row["case"]))
    places = dict.fromkeys(round(share * (len(heads) - 1)) for share in SHARES) if heads else {}
    chosen = []
    for head in (heads[place] for place in places):
        of = (head["cohort"], head["case"])
        others = [row for row in rows if (row["of_cohort"], row["of_case"]) == of and row["rank"] != "0"]
        others.sort(key=lambda row: (row["features"] != "pretrained", int(row["rank"])))
        chosen.append([head, *others])
    return chosen


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return 0.0, value


def draw(
    paths: Sequence[Path], chosen: Sequence[Sequence[Row]], preprocess: Path, attribute: str, pretraining: str
) -> None:
    """Draw the middle sagittal slice of each case of ``chosen`` with its value, all to one scale, a row a head."""
    slices = [[read_slice(preprocess / row["cohort"] / row["case"] / "ncct.nii.gz") for row in line] for line in chosen]
    sizes = [size for line in slices for _, size in line] or [(1.0, 1.0)]
    largest = (max(depth for depth, _ in sizes), max(height for _, height in sizes))
    columns, rows = max((len(line) for line in chosen), default=1), max(len(chosen), 1)
    tile = TILE * largest[1] / largest[0] + 0.25
    with drawing(paths, max(columns * TILE, 6.0), rows * tile + 0.6) as figure:
        title = f"Nearest cases, features of {pretraining}; below: {attribute}"
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        for axes, row in zip(grid[0], chosen[0] if chosen else [], strict=False):
            axes.set_title("head" if row["rank"] == "0" else f"{row['features']}, {row['rank']}", fontsize=8)
        if not chosen:
            grid[0, 0].text(0, 0.5, f"no case has a value of {attribute}", color=MUTED)
        for tiles, line, pictures in zip(grid, chosen, slices, strict=False):
            for axes, row, picture in zip(tiles, line, pictures, strict=False):
                _tile(axes, *picture, largest)
                axes.set_xlabel(_shown(row["value"]) if row["value"] else "not known", fontsize=8)


def read_slice(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the middle sagittal slice of a stripped NCCT as displayed, and its depth and height in mm."""
    ncct = load_ras(path)
    cut = plane(ncct.data, SAGITTAL, spread(ncct.data > ncct.data.min(), SAGITTAL, 1)[0])
    _, depth, height = (float(length) for length in ncct.spacing * ncct.data.shape)
    return cut, (depth, height)


def _tile(axes: Axes, cut: np.ndarray, size: tuple[float, float], largest: tuple[float, float]) -> None:
    depth, height = (length / 2 for length in size)
    low, high = WINDOW_HU
    axes.imshow(
        cut, cmap="gray", vmin=low, vmax=high, extent=(-depth, depth, -height, height), interpolation="bilinear"
    )
    axes.set_xlim(-largest[0] / 2, largest[0] / 2)
    axes.set_ylim(-largest[1] / 2, largest[1] / 2)
    axes.set_facecolor("black")


def _shown(value: str) -> str:
    try:
        return f"{float(value):.3g}".replace("-", "−")
    except ValueError:
        return value


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbours", type=Path, required=True, help="neighbours.tsv of the pretraining")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/ncct.nii.gz")
    parser.add_argument("--attribute", required=True, help="name of the values in the table")
    parser.add_argument("--pretraining", required=True, help="name that stands in the heading")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the neighbours of one pretraining and the images of the chosen cases, write one figure."""
    arguments = _parse(argv)
    chosen = choose(read_tsv(arguments.neighbours))
    draw(arguments.out, chosen, arguments.preprocess, arguments.attribute, arguments.pretraining)


if __name__ == "__main__":
    run(main)
