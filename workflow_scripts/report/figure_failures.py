"""Draw the held-out cases with the lowest Dice, each with what went wrong."""

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS, ENSEMBLE, HELD_OUT
from workflow_scripts.report.drawing.errors import size_in_words, what_went_wrong
from workflow_scripts.report.drawing.slices import load_ras, on_grid, plane
from workflow_scripts.report.drawing.style import MUTED, OVERLAYS, REFERENCE, bare, drawing

MOST, COLUMNS = 12, 4
LINE_CHARACTERS = 28
WINDOW_HU = (0, 80)
AXIAL = 2
TILE_WIDTH, TILE_HEIGHT = 2.55, 3.2

Row = Mapping[str, str]


@dataclass(frozen=True)
class Failure:
    """A segmented case: images (x, y, z) of RAS+ orientation on one grid, and two lines of text about it."""

    title: str
    text: str
    ncct: np.ndarray
    reference: np.ndarray
    segmentation: np.ndarray


def choose(scores: Sequence[Row], arms: Sequence[str], cohort: str) -> list[Row]:
    """Return the scores of the held-out cases with the lowest Dice, a case once with the arm that did worst on it."""
    lowest: dict[str, Row] = {}
    for row in scores:
        wanted = row["arm"] in arms and row["cohort"] == cohort and row["split"] in HELD_OUT
        if wanted and row["member"] == ENSEMBLE and row["criterion"] == ALL_LESIONS:
            known = lowest.get(row["case"])
            if known is None or float(row["dice"]) < float(known["dice"]):
                lowest[row["case"]] = row
    return sorted(lowest.values(), key=lambda row: (float(row["dice"]), row["case"]))[:MOST]


def draw(paths: Sequence[Path], failures: Sequence[Failure], heading: str) -> None:
    """Draw one slice of each failure: the reference's outline, the segmentation filled, and what went wrong."""
    columns = max(min(len(failures), COLUMNS), 2)
    lines = max(-(-len(failures) // columns), 1)
    with drawing(paths, TILE_WIDTH * columns, TILE_HEIGHT * lines + 0.5) as figure:
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        if not failures:
            grid[0, 0].text(0, 0.5, "no scored case", color=MUTED)
        for axes, failure in zip(grid.flat, failures, strict=False):
            _tile(axes, failure)
        figure.set_layout_engine("compressed")


def _tile(axes: Axes, failure: Failure) -> None:
    area = (failure.reference ^ failure.segmentation).sum(axis=(0, 1))
    index = int(area.argmax())
    axes.imshow(
        plane(failure.ncct, AXIAL, index), cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="bilinear"
    )
    segmentation, reference = (plane(mask, AXIAL, index) for mask in (failure.segmentation, failure.reference))
    colour = OVERLAYS[0]
    if segmentation.any():
        rgb = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        axes.imshow(np.dstack([*(np.full(segmentation.shape, part) for part in rgb), 0.55 * segmentation]))
    if reference.any():
        axes.contour(reference, [0.5], colors=REFERENCE, linewidths=1.3)
    axes.set_title(failure.title, fontsize=8)
    axes.set_xlabel(failure.text, fontsize=8)
    axes.text(0.02, 0.5, "R", transform=axes.transAxes, color="white", fontsize=8, va="center")


def read_failure(row: Row, preprocess: Path, segment: Path) -> Failure:
    """Read the images of a scored case and say what went wrong."""
    name = f"{row['cohort']}/{row['case']}"
    ncct, brain = (load_ras(preprocess / name / f"{image}.nii.gz") for image in ("ncct", "brain"))

    def mask(path: Path) -> np.ndarray:
        return on_grid(load_ras(path), ncct, 0, 0).data > 0.5

    reference = mask(preprocess / name / "lesion.nii.gz")
    segmentation = mask(segment / row["arm"] / ENSEMBLE / f"{name}.nii.gz")
    inside = np.nonzero(brain.data > 0.5)[0]
    middle = float(inside.mean()) if len(inside) else ncct.data.shape[0] / 2
    wrong = what_went_wrong(reference, segmentation, middle)
    said = ", ".join(filter(None, [*wrong, size_in_words(reference, segmentation)])) or "nothing"
    text = "\n".join([f"Dice {float(row['dice']):.3f}", *textwrap.wrap(said, LINE_CHARACTERS)])
    return Failure(f"{row['case']} ({row['split']})\n{row['arm']}", text, ncct.data, reference, segmentation)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/ncct.nii.gz")
    parser.add_argument("--segment", type=Path, required=True, help="folder with {arm}/ensemble/{cohort}/{case}.nii.gz")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Choose the cases by their scores, read them, write one figure."""
    arguments = _parse(argv)
    chosen = choose(read_tsv(arguments.scores), arguments.arms, arguments.cohort)
    failures = [read_failure(row, arguments.preprocess, arguments.segment) for row in chosen]
    draw(arguments.out, failures, f"{arguments.cohort}: the held-out cases with the lowest Dice")


if __name__ == "__main__":
    run(main)
