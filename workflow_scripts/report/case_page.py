"""Write the quality page of one case: what every step made of its images, and what was flagged."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_text
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume
from workflow_scripts.report.drawing.faces import without_face
from workflow_scripts.report.drawing.panels import Images, make_panels, pictures_of, thumbnails
from workflow_scripts.report.drawing.slices import load_ras, on_grid
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import explained, readings


def acquisition(stack: Stack) -> str:
    """Say in words how a scan was acquired."""
    gaps = np.diff(stack.heights)
    distance = f"{gaps.mean():.4g} mm" if stack.equal_gaps else f"{gaps.min():.4g} to {gaps.max():.4g} mm"
    apart = "apart" if stack.equal_gaps else "apart and interpolated to one distance"
    tilt = f"gantry tilt {stack.tilt_degrees:.1f}°, moved into line".replace("-", "−")
    tilt = "no gantry tilt" if stack.orthogonal else tilt
    pixels = np.linalg.norm(stack.row_step)
    size = f"{len(gaps) + 1} slices of {stack.columns} × {stack.rows} pixels of {pixels:.3g} mm"
    return f"{size}, {distance} {apart}, {tilt}."


def lesion_in_words(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known about the lesion mask as pairs of a name and a value; empty without a mask."""
    if facts["lesion_ml"] is None:
        return []
    return [("lesion volume", f"{facts['lesion_ml']:.1f} mL"), ("side of the lesion", facts["side"])]


def _read_images(arguments: argparse.Namespace, stack: Stack) -> Images:
    ncct = load_ras(arguments.ncct)

    def like_ncct(path: Path | str, order: int = 0) -> Volume:
        return on_grid(load_ras(Path(path)), ncct, order, 0)

    brain_mask = load_ras(arguments.brain_mask)
    upright = load_ras(arguments.upright)
    unstripped = on_grid(upright, brain_mask, 1, float(upright.data.min()))
    if not arguments.show_faces:
        upright, unstripped = without_face(upright, brain_mask), without_face(unstripped, brain_mask)
    return Images(
        upright=upright,
        stack=stack,
        unstripped=unstripped,
        brain_mask=brain_mask,
        ncct=ncct,
        mirrored=like_ncct(arguments.mirrored),
        difference=like_ncct(arguments.difference),
        brain=like_ncct(arguments.brain).data > 0.5,
        mri={modality: like_ncct(path, order=1) for modality, path in arguments.mri},
        lesion=like_ncct(arguments.lesion).data > 0.5 if arguments.lesion else None,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--title", required=True, help="title of the study")
    parser.add_argument("--notice", help="sentence on top of the page")
    parser.add_argument("--case-json", type=Path, required=True, help="case.json")
    parser.add_argument("--ingest-json", type=Path, required=True, help="record of the conversion")
    parser.add_argument("--upright", type=Path, required=True, help="ingested NCCT, HU")
    parser.add_argument("--brain-mask", type=Path, required=True, help="brain mask with isotropic voxels")
    for image in ("ncct", "mirrored", "difference", "brain"):
        parser.add_argument(f"--{image}", type=Path, required=True, help="final image")
    parser.add_argument(
        "--show-faces", action=argparse.BooleanOptionalAction, default=False, help="leave face and skin in the pictures"
    )
    parser.add_argument("--mri", nargs=2, action="append", default=[], metavar=("MODALITY", "PATH"), help="registered")
    parser.add_argument("--lesion", type=Path, help="final lesion mask")
    parser.add_argument("--out-page", type=Path, required=True, help="HTML")
    parser.add_argument("--out-thumbnail", type=Path, required=True, help="SVG elements")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the images and numbers of one case; write its page, and its small pictures for the page of the cohort."""
    arguments = _parse(argv)
    case = read_json(arguments.case_json)
    stack = stack_of(read_json(arguments.ingest_json))
    images = _read_images(arguments, stack)
    panels = make_panels(images, acquisition(stack))
    page = render(
        "case.html.j2",
        title=arguments.title,
        notice=arguments.notice,
        cohort=arguments.cohort,
        name=f"{arguments.cohort}/{arguments.case}",
        flags=explained(case["quality"]["flags"]),
        readings=readings(case["quality"]),
        facts=lesion_in_words(case["facts"]),
        panels=panels,
        pictures=pictures_of(panels),
    )
    write_text(arguments.out_page, page)
    write_text(arguments.out_thumbnail, render("thumbnail.svg.j2", tiles=thumbnails(images)))


if __name__ == "__main__":
    run(main)
