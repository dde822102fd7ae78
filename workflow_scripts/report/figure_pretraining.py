"""Draw the curves of the self-supervised trainings: loss, RankMe, and a monitor that shows a collapse (paper 3.4.2)."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.training_curves import chance_loss
from workflow_scripts.report.drawing.style import COLOURS, MUTED, curve, drawing
from workflow_scripts.report.figure_finetune import column

MONITORS = {
    "teacher_entropy": "entropy of the teacher (nats)",
    "feature_deviation": "deviation of the embeddings",
}
PANEL_WIDTH, PANEL_HEIGHT = 3.4, 2.1

Table = Sequence[Mapping[str, str]]


def draw(paths: Sequence[Path], trainings: Mapping[str, tuple[Table, Table]]) -> None:
    """Draw ``trainings[name]``, a pair of the tables curves.tsv and rankme.tsv, one row of panels each."""
    with drawing(paths, 3 * PANEL_WIDTH, PANEL_HEIGHT * len(trainings) + 0.3) as figure:
        grid = figure.subplots(len(trainings), 3, squeeze=False)
        for (loss, rank, spread), (name, (curves, rankme)) in zip(grid, trainings.items(), strict=True):
            epochs, colours = column(curves, "epoch"), iter(COLOURS)
            curve(loss, epochs, column(curves, "train_loss"), color=next(colours), label="training")
            curve(loss, epochs, column(curves, "validation_loss"), color=next(colours), ls="--", label="validation")
            if (chance := chance_loss(curves[0])) is not None:
                loss.axhline(chance, color=MUTED, ls=":", label="of chance (ln K)")
            loss.set_title(f"{name}: loss")
            measured = column(rankme, "epoch")
            curve(rank, measured, column(rankme, "rankme"), color=COLOURS[2], label="as published")
            curve(rank, measured, column(rankme, "rankme_centred"), color=COLOURS[3], ls="--", label="centred")
            rank.set_title(f"{name}: RankMe")
            # Masked autoencoding has no teacher.
            monitor = next(key for key in MONITORS if key in curves[0])
            curve(spread, epochs, column(curves, monitor), color=COLOURS[4])
            spread.set_title(f"{name}: {MONITORS[monitor]}")
            for axes in (loss, rank):
                axes.legend(fontsize=7.5)
            for axes in (loss, rank, spread):
                axes.set_xlabel("epoch", color=MUTED)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretrain", type=Path, required=True, help="folder with {pretraining}/curves.tsv, rankme.tsv")
    parser.add_argument("--pretrainings", nargs="+", required=True)
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the curves of every pretraining, write one figure."""
    arguments = _parse(argv)
    draw(
        arguments.out,
        {
            name: (
                read_tsv(arguments.pretrain / name / "curves.tsv"),
                read_tsv(arguments.pretrain / name / "rankme.tsv"),
            )
            for name in arguments.pretrainings
        },
    )


if __name__ == "__main__":
    run(main)
