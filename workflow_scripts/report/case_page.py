"""Write the quality page of one case: what every step made of its images, and what was flagged."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_text
from workflow_scripts.common.volume import Volume
from workflow_scripts.report.page import render
from workflow_scripts.report.quality import explained, numbers
from workflow_scripts.report.slices import jpeg_uri, load_ras, on_grid
from workflow_scripts.report.strips import Images, make_strips


def main(argv: Sequence[str] | None = None) -> None:
    """Read the images and numbers of one case, write one page."""
    arguments = _parse(argv)
    facts = read_json(arguments.qc)
    strips = [
        {"title": strip.title, "text": strip.text, "legend": strip.legend, "uri": jpeg_uri(strip.picture)}
        for strip in make_strips(_read_images(arguments))
    ]
    page = render(
        "case.html.j2",
        title=arguments.title,
        notice=arguments.notice,
        name=f"{arguments.cohort}/{arguments.case}",
        flags=explained(facts["flags"]),
        numbers=numbers(facts),
        strips=strips,
    )
    write_text(arguments.out, page)


def _read_images(arguments: argparse.Namespace) -> Images:
    ncct = load_ras(arguments.ncct)

    def like_ncct(path: Path, order: int = 0) -> Volume:
        return on_grid(load_ras(path), ncct, order, 0)

    return Images(
        unstripped=load_ras(arguments.unstripped),
        brain_mask=load_ras(arguments.brain_mask),
        ncct=ncct,
        mirrored=like_ncct(arguments.mirrored),
        difference=like_ncct(arguments.difference),
        brain=like_ncct(arguments.brain),
        mri={modality: like_ncct(Path(path), order=1) for modality, path in arguments.mri},
        lesion=like_ncct(arguments.lesion) if arguments.lesion else None,
        segmentations={arm: like_ncct(Path(path)) for arm, path in arguments.segmentation},
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--title", required=True, help="title of the study")
    parser.add_argument("--notice", help="sentence on top of the page")
    parser.add_argument("--qc", type=Path, required=True, help="numbers of the preprocessing, JSON")
    parser.add_argument("--unstripped", type=Path, required=True, help="resampled NCCT, HU")
    parser.add_argument("--brain-mask", type=Path, required=True, help="brain mask on the grid of --unstripped")
    for image in ("ncct", "mirrored", "difference", "brain"):
        parser.add_argument(f"--{image}", type=Path, required=True, help="final image")
    parser.add_argument("--mri", nargs=2, action="append", default=[], metavar=("MODALITY", "PATH"), help="registered")
    parser.add_argument("--lesion", type=Path, help="final lesion mask")
    parser.add_argument("--segmentation", nargs=2, action="append", default=[], metavar=("ARM", "PATH"))
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
