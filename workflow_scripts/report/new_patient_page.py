"""Write the page of a new patient: the mask on the scan, the other hemisphere, the numbers and the flags."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, replacing, write_text
from workflow_scripts.common.volume import Volume
from workflow_scripts.report.drawing.faces import without_face
from workflow_scripts.report.drawing.panels import (
    BRAIN_HU,
    Panel,
    choose_views,
    contour,
    greys,
    picture,
    pictures_of,
    segmentation_panel,
)
from workflow_scripts.report.drawing.pictures import Tile, around
from workflow_scripts.report.drawing.sheet import Row, draw
from workflow_scripts.report.drawing.slices import load_ras, on_grid
from workflow_scripts.report.drawing.style import OVERLAYS, REFERENCE
from workflow_scripts.report.pages.new_patient import NOTHING, compared, joined, meaning, numbers, texts
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import readings

TITLE = "Infarct segmentation of one scan"
BY_ANY = "marked by at least one network"
LEGEND = (("mask-lesion", "the mask"), ("mask-any", BY_ANY))


@dataclass(frozen=True)
class Images:
    """What the page shows, RAS+: the scan around its brain and without its face, and the final images.

    ``in_brain``, ``marked`` and ``by_any`` (by at least one network) lie on the grid of ``scan``, ``brain`` and
    ``mask`` on that of ``ncct``; all boolean.
    """

    scan: Volume
    in_brain: np.ndarray
    marked: np.ndarray
    by_any: np.ndarray
    ncct: Volume
    mirrored: Volume
    brain: np.ndarray
    mask: np.ndarray


def load(arguments: argparse.Namespace) -> Images:
    """Read the images of a segmented scan."""
    names = ("scan", "lesion", "agreement", "ncct", "mirrored", "brain", "mask")
    scan, lesion, agreement, ncct, mirrored, brain, mask = (load_ras(getattr(arguments, name)) for name in names)
    inside = on_grid(brain, scan, 0, 0).data > 0.5
    return Images(
        scan=around(without_face(scan, brain), inside),
        in_brain=around(scan.with_data(inside), inside).data,
        marked=around(lesion, inside).data > 0.5,
        by_any=around(agreement, inside).data > 0,
        ncct=ncct,
        mirrored=mirrored,
        brain=brain.data > 0.5,
        mask=mask.data > 0.5,
    )


def scan_panel(images: Images, several: bool) -> Panel:
    """Show the mask, and where at least one of ``several`` networks marks a lesion, on the upright scan."""
    masks = {"lesion": images.marked, **({"any": images.by_any} if several else {})}
    panel = segmentation_panel(images.scan, images.in_brain, masks)
    return replace(panel, title="The mask on the scan", legend=LEGEND[: len(masks)])


def hemispheres_panel(images: Images) -> Panel:
    """Show each slice beside the other hemisphere laid over it."""
    shown = (("ncct-final", images.ncct, "NCCT"), ("mirrored", images.mirrored, "mirrored"))
    tiles = [
        Tile(
            ((picture(name, volume, view, greys(BRAIN_HU)), caption),),
            (("mask-lesion", contour(images.mask, images.ncct, view)),),
        )
        for view in choose_views(images.brain, images.mask)
        for name, volume, caption in shown
    ]
    text = "As the model sees it, and mirrored: an infarct is darker than the same place on the other side."
    return Panel("The other hemisphere", text, "compare", tiles, LEGEND[:1], rows=2)


def sheet_rows(images: Images, several: bool) -> list[Row]:
    """Return the same slices for the picture."""
    above = choose_views(images.in_brain, images.marked | images.by_any)
    below = choose_views(images.brain, images.mask)
    masks = [*([(images.by_any, OVERLAYS[0])] if several else []), (images.marked, REFERENCE)]
    blue = f". Blue: {BY_ANY}" if several else ""
    return [
        Row(f"The scan. Red: the mask{blue}", images.scan, above, masks),
        Row("As the model sees it. Red: the mask", images.ncct, below, [(images.mask, REFERENCE)]),
        Row("The other hemisphere laid over it: an infarct is darker above than here", images.mirrored, below, []),
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    for name, text in (
        ("report", "report.json"),
        ("scan", "converted NCCT, upright"),
        ("lesion", "mask on the grid of --scan"),
        ("agreement", "share of networks on the grid of --scan"),
        ("ncct", "final NCCT"),
        ("mirrored", "final mirrored NCCT"),
        ("brain", "final brain mask"),
        ("mask", "mask on the grid of --ncct"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    parser.add_argument("--notice", help="sentence on top of the page")
    parser.add_argument("--out", type=Path, required=True, help="HTML")
    parser.add_argument("--out-picture", type=Path, help=".npy: RGB, uint8 (row, column, 3)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the images and numbers of a segmented scan, write one page, and the same as a picture where wanted."""
    arguments = _parse(argv)
    report, images = read_json(arguments.report), load(arguments)
    several = len(report["model"]["seeds"]) > 1
    panels = [scan_panel(images, several), hemispheres_panel(images)]
    page = render(
        "new_patient.html.j2",
        title=TITLE,
        name=f"{arguments.cohort}/{arguments.case}",
        notice=arguments.notice,
        report=report,
        numbers=numbers(report),
        nothing="" if report["components"] else NOTHING,
        joined=joined(report["model"]),
        flags=[(flag, meaning(flag)) for flag in report["flags"]],
        compared=compared(report["compared_with_training"]),
        readings=readings(report["quality"]),
        colours={"mask-lesion": REFERENCE, "mask-any": OVERLAYS[0]},
        panels=panels,
        pictures=pictures_of(panels),
    )
    write_text(arguments.out, page)
    if arguments.out_picture:
        picture = draw(report["notice"], texts(report, arguments.notice), sheet_rows(images, several))
        with replacing(arguments.out_picture) as temporary, temporary.open("wb") as file:
            np.save(file, picture, allow_pickle=False)


if __name__ == "__main__":
    run(main)
