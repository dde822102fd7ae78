"""Write the page of one segmented case: the reference and each arm's segmentation on the NCCT."""

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_tsv, write_text
from workflow_scripts.common.vocabulary import TEST
from workflow_scripts.report.drawing.panels import pictures_of, segmentation_panel
from workflow_scripts.report.drawing.slices import load_ras, on_grid
from workflow_scripts.report.drawing.style import OVERLAYS, REFERENCE
from workflow_scripts.report.pages.page import render


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--title", required=True, help="title of the study")
    parser.add_argument("--notice", help="sentence on top of the page")
    parser.add_argument("--ncct", type=Path, required=True, help="final NCCT")
    parser.add_argument("--brain", type=Path, required=True, help="final brain mask")
    parser.add_argument("--lesion", type=Path, help="final lesion mask, the reference")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage")
    parser.add_argument("--test-arms", nargs="*", default=[], help="arms whose segmentations of a test case are shown")
    parser.add_argument("--segmentation", nargs=2, action="append", default=[], metavar=("ARM", "PATH"))
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the final images of one case and its segmentations, write one page."""
    arguments = _parse(argv)
    ncct = load_ras(arguments.ncct)

    def mask(path: Path | str) -> np.ndarray:
        return on_grid(load_ras(Path(path)), ncct, 0, 0).data > 0.5

    masks = {"reference": mask(arguments.lesion)} if arguments.lesion else {}
    named = {"cohort": arguments.cohort, "case": arguments.case, "split": TEST}
    hidden = arguments.lesion and any(named.items() <= row.items() for row in read_tsv(arguments.splits))
    shown = [pair for pair in arguments.segmentation if not hidden or pair[0] in arguments.test_arms]
    masks |= {arm: mask(path) for arm, path in shown}
    panel = segmentation_panel(ncct, mask(arguments.brain), masks)
    arms = (kind for kind, name in panel.legend if name != "reference")
    page = render(
        "segmentation.html.j2",
        title=arguments.title,
        notice=arguments.notice,
        name=f"{arguments.cohort}/{arguments.case}",
        colours=dict(zip(arms, cycle(OVERLAYS), strict=False)) | {"mask-reference": REFERENCE},
        panel=panel,
        pictures=pictures_of([panel]),
    )
    write_text(arguments.out, page)


if __name__ == "__main__":
    run(main)
