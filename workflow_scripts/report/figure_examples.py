"""Overlay reference and predictions on example cases, from the worst to the best (paper, Fig. 7)."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS, ENSEMBLE, SPLITS
from workflow_scripts.common.volume import Volume, require_same_grid
from workflow_scripts.report.drawing.slices import largest_slice, load_ras, plane
from workflow_scripts.report.drawing.style import MUTED, OVERLAYS, REFERENCE, bare, drawing

PREFERRED_SPLITS = tuple(reversed(SPLITS))
WINDOW_HU = (0, 80)
AXIAL = 2
FIRST_LETTER = "A"
PANEL_WIDTH, PANEL_HEIGHT = 2.1, 2.55


@dataclass(frozen=True)
class Example:
    """A case to draw: images (x, y, z) of RAS+ orientation on one grid; predictions and Dice by arm."""

    title: str
    ncct: np.ndarray
    reference: np.ndarray
    predictions: Mapping[str, np.ndarray]
    dice: Mapping[str, float]


def choose(scores: Sequence[Mapping[str, str]], arms: Sequence[str], count: int) -> tuple[str, list[str]]:
    """Return the split and the cases to draw, evenly spread from the lowest to the highest mean Dice of the arms.

    Cases are taken from the test set. Where it holds no reference with a lesion, they are taken from the validation
    set, or from the training set.
    """
    chosen = [
        row
        for row in scores
        if row["arm"] in arms
        and row["member"] == ENSEMBLE
        and row["criterion"] == ALL_LESIONS
        and float(row["reference_ml"]) > 0
    ]
    split = next(
        (name for name in PREFERRED_SPLITS if any(row["split"] == name for row in chosen)), PREFERRED_SPLITS[0]
    )
    dice: dict[str, list[float]] = {}
    for row in chosen:
        if row["split"] == split:
            dice.setdefault(row["case"], []).append(float(row["dice"]))
    ranked = sorted(dice, key=lambda case: (np.mean(dice[case]), case))
    picked = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return split, [ranked[index] for index in picked]


def draw(paths: Sequence[Path], examples: Sequence[Example], arms: Sequence[str], heading: str) -> None:
    """Draw one row for each case: the plain slice, the reference in red, each arm's prediction over the reference."""
    columns, rows = 2 + len(arms), max(len(examples), 1)
    with drawing(paths, PANEL_WIDTH * columns, PANEL_HEIGHT * rows + 0.5) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            bare(axes)
        for row, example in zip(grid, examples, strict=False):
            _draw_case(row, example, arms)
        if not examples:
            grid[0, 0].text(0, 0.5, "no labelled case with a lesion", color=MUTED)
        figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
        figure.set_layout_engine("compressed")


def _draw_case(row: Sequence[Axes], example: Example, arms: Sequence[str]) -> None:
    index = largest_slice(example.reference, AXIAL)
    ncct, reference = plane(example.ncct, AXIAL, index), plane(example.reference, AXIAL, index)
    row[0].set_title(example.title)
    row[1].set_title("Reference", color="#C40000")
    for axes in row:
        axes.imshow(ncct, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="bilinear")
    _overlay(row[1], reference, REFERENCE)
    for axes, arm, colour in zip(row[2:], arms, cycle(OVERLAYS), strict=False):
        _overlay(axes, plane(example.predictions[arm], AXIAL, index), colour)
        axes.contour(reference, [0.5], colors=REFERENCE, linewidths=1.1)
        axes.set_title(arm)
        axes.set_xlabel(f"Dice {example.dice[arm]:.3f}")
    row[0].text(0.02, 0.5, "R", transform=row[0].transAxes, color="white", fontsize=8, va="center")


def _overlay(axes: Axes, mask: np.ndarray, colour: str) -> None:
    """Fill a mask half-transparent and draw its outline."""
    rgb = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    layer = np.concatenate([np.broadcast_to(rgb, (*mask.shape, 3)), 0.55 * mask[..., None].astype(float)], axis=2)
    axes.imshow(layer, interpolation="nearest")
    if mask.any():
        axes.contour(mask, [0.5], colors=colour, linewidths=1.1)


def read_example(
    case: str, title: str, dice: Mapping[str, float], preprocess: Path, segment: Path, arms: Sequence[str]
) -> Example:
    """Read the images of one case, given as cohort/case; all must share a grid."""
    ncct = load_ras(preprocess / case / "ncct.nii.gz")
    reference = load_ras(preprocess / case / "lesion.nii.gz")
    predictions: dict[str, Volume] = {arm: load_ras(segment / arm / ENSEMBLE / f"{case}.nii.gz") for arm in arms}
    for name, volume in (("the lesion mask", reference), *predictions.items()):
        require_same_grid(ncct, volume, f"the NCCT of {case}", name)
    return Example(
        title, ncct.data, reference.data > 0.5, {arm: volume.data > 0.5 for arm, volume in predictions.items()}, dice
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/ncct.nii.gz")
    parser.add_argument("--segment", type=Path, required=True, help="folder with {arm}/ensemble/{cohort}/{case}.nii.gz")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--arms", nargs="+", required=True, help="arms to draw, from left to right")
    parser.add_argument("--examples", type=int, required=True, help="cases to draw")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Choose the cases by their scores, read them, write one figure."""
    arguments = _parse(argv)
    scores = [row for row in read_tsv(arguments.scores) if row["cohort"] == arguments.cohort]
    split, cases = choose(scores, arguments.arms, arguments.examples)
    wanted = [row for row in scores if row["member"] == ENSEMBLE and row["criterion"] == ALL_LESIONS]
    examples = []
    for number, case in enumerate(cases):
        dice = {row["arm"]: float(row["dice"]) for row in wanted if row["case"] == case}
        name = f"{arguments.cohort}/{case}"
        examples.append(
            read_example(
                name,
                f"{chr(ord(FIRST_LETTER) + number)}: {case}",
                dice,
                arguments.preprocess,
                arguments.segment,
                arguments.arms,
            )
        )
    draw(
        arguments.out,
        examples,
        arguments.arms,
        f"{arguments.cohort}, {split} set: from the lowest to the highest mean Dice",
    )


if __name__ == "__main__":
    run(main)
