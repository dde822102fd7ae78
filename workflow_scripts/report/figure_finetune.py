"""Draw the curves of the supervised trainings: losses and pseudo-Dice of every arm and seed."""

import argparse
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import seed_member
from workflow_scripts.report.drawing.style import COLOURS, MUTED, curve, drawing

MAX_COLUMNS, WIDTH = 4, 10.4
MAX_PANEL_WIDTH, PANEL_HEIGHT = 3.5, 1.9

Curves = Mapping[str, Sequence[Mapping[str, str]]]


def column(rows: Sequence[Mapping[str, str]], name: str) -> list[float]:
    """Return a column as numbers; empty cells become NaN, which leaves a gap in the curve."""
    return [float(row[name]) if row[name] else float("nan") for row in rows]


def draw(paths: Sequence[Path], curves: Mapping[str, Curves]) -> None:
    """Draw ``curves[arm][seed]``, rows with epoch, train_loss, validation_loss, pseudo_dice, ema_pseudo_dice.

    Arms stand side by side, losses above and pseudo-Dice below, on common axes.
    """
    arms = list(curves)
    columns = min(len(arms), MAX_COLUMNS)
    blocks = -(-len(arms) // columns)
    with drawing(paths, min(WIDTH, MAX_PANEL_WIDTH * columns), PANEL_HEIGHT * 2 * blocks + 0.5) as figure:
        grid = figure.subplots(2 * blocks, columns, squeeze=False)
        for index in range(blocks * columns):
            block, place = divmod(index, columns)
            top, bottom = grid[2 * block : 2 * block + 2, place]
            if index >= len(arms):
                top.set_visible(False)
                bottom.set_visible(False)
                continue
            top.sharey(grid[0, 0])
            bottom.sharey(grid[1, 0])
            for colour, rows in zip(cycle(COLOURS), curves[arms[index]].values(), strict=False):
                epochs = column(rows, "epoch")
                curve(top, epochs, column(rows, "train_loss"), color=colour, alpha=0.55, lw=1)
                curve(top, epochs, column(rows, "validation_loss"), color=colour, ls="--")
                curve(bottom, epochs, column(rows, "pseudo_dice"), color=colour, alpha=0.4, lw=0.9)
                curve(bottom, epochs, column(rows, "ema_pseudo_dice"), color=colour)
            top.set_title(arms[index])
            bottom.set_xlabel("epoch")
            if place == 0:
                top.set_ylabel("loss")
                bottom.set_ylabel("pseudo-Dice")
        seeds = list(next(iter(curves.values())))
        entries = [(name, {"color": colour}) for name, colour in zip(seeds, cycle(COLOURS), strict=False)]
        entries += [
            ("loss: training", {"color": MUTED, "alpha": 0.55}),
            ("loss: validation", {"color": MUTED, "ls": "--"}),
            ("pseudo-Dice", {"color": MUTED, "alpha": 0.4}),
            ("pseudo-Dice, moving average", {"color": MUTED}),
        ]
        handles = [grid[0, 0].plot([], [], label=name, **look)[0] for name, look in entries]
        figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=8)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finetune", type=Path, required=True, help="folder with {arm}/seed-{seed}/curves.tsv")
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", required=True)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the curves of every training, write one figure."""
    arguments = _parse(argv)
    members = list(map(seed_member, arguments.seeds))
    draw(
        arguments.out,
        {
            arm: {member: read_tsv(arguments.finetune / arm / member / "curves.tsv") for member in members}
            for arm in arguments.arms
        },
    )


if __name__ == "__main__":
    run(main)
