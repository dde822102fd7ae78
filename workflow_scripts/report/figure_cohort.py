"""Draw the cases of the study: cases of each cohort and split, and the volumes of their lesions."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.report.drawing.style import INK, MUTED, SPLIT_COLOURS, drawing

LABEL_SHARE = 0.06
VOLUME_LIMITS_ML = (0.08, 600)
VOLUME_TICKS_ML = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


def draw(paths: Sequence[Path], cases: Sequence[Mapping[str, str]], min_component_ml: float) -> None:
    """Draw the rows of splits.tsv: counts at the left, total lesion volume of each labelled case at the right."""
    cohorts = list(dict.fromkeys(row["cohort"] for row in cases))
    with drawing(paths, 10.2, 0.9 + 0.55 * len(cohorts)) as figure:
        counts, volumes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.25))
        left = np.zeros(len(cohorts))
        for split in SPLITS:
            number = np.array([sum(r["cohort"] == c and r["split"] == split for r in cases) for c in cohorts])
            counts.barh(range(len(cohorts)), number, left=left, color=SPLIT_COLOURS[split], height=0.62, label=split)
            for row, (start, width) in enumerate(zip(left, number, strict=True)):
                if width > LABEL_SHARE * len(cases) / len(cohorts):
                    counts.text(start + width / 2, row, width, ha="center", va="center", color="white", fontsize=8)
            left += number
        counts.set_yticks(range(len(cohorts)), cohorts)
        counts.invert_yaxis()
        counts.xaxis.set_major_locator(MaxNLocator(integer=True))
        counts.set_xlabel("cases")
        figure.legend(*counts.get_legend_handles_labels(), loc="outside upper left", ncols=len(SPLITS))
        generator = np.random.default_rng(0)
        for row, cohort in enumerate(cohorts):
            lesions = [r for r in cases if r["cohort"] == cohort and r["lesion_ml"] and float(r["lesion_ml"]) > 0]
            for case in lesions:
                volumes.plot(
                    np.clip(float(case["lesion_ml"]), *VOLUME_LIMITS_ML),
                    row + generator.uniform(-0.22, 0.22),
                    "o",
                    color=SPLIT_COLOURS[case["split"]],
                    markersize=4,
                    alpha=0.85,
                    markeredgewidth=0,
                )
            free = sum(r["cohort"] == cohort and r["lesion_ml"] != "" and float(r["lesion_ml"]) == 0 for r in cases)
            unknown = sum(r["cohort"] == cohort and r["lesion_ml"] == "" for r in cases)
            label = ", ".join(
                f"{number} {what}" for number, what in ((free, "without lesion"), (unknown, "not labelled")) if number
            )
            volumes.text(
                1.01, row, label, transform=volumes.get_yaxis_transform(), va="center", fontsize=8, color=MUTED
            )
        volumes.set_xscale("log")
        volumes.set_xlim(*VOLUME_LIMITS_ML)
        volumes.set_xticks(VOLUME_TICKS_ML)
        volumes.xaxis.set_minor_locator(NullLocator())
        volumes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        volumes.set_xlabel("lesion volume (mL)")
        volumes.axvline(min_component_ml, color=INK, lw=0.9, ls=":")
        volumes.grid(axis="x")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--min-component-ml", type=float, required=True, help="drawn as a dotted line, mL")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="SVG, PNG or both")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the split table, write one figure."""
    arguments = _parse(argv)
    draw(arguments.out, read_tsv(arguments.splits), arguments.min_component_ml)


if __name__ == "__main__":
    run(main)
