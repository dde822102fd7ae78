"""Write the page of a new patient: the mask on the scan, the other hemisphere, the numbers and the flags."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_text
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
from workflow_scripts.report.drawing.slices import load_ras, on_grid
from workflow_scripts.report.drawing.style import OVERLAYS, REFERENCE
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import FLAGS, readings

# The numbers that a scan is compared with the training set by: name, unit, decimals.
COMPARED = {
    "brain_ml": ("brain volume", "mL", 0),
    "median_hu": ("median of the brain", "HU", 1),
    "quartiles_apart_hu": ("distance between the brain's quartiles", "HU", 1),
    "percentile_1_hu": ("darkest tissue (1st percentile)", "HU", 1),
    "percentile_99_hu": ("brightest tissue (99th percentile)", "HU", 1),
    "noise_hu": ("noise (standard deviation)", "HU", 1),
    "feature_distance": ("distance of what the network sees", "", 2),
}
TITLE = "Infarct segmentation of one scan"


def scan_panel(scan: Volume, brain: Volume, lesion: Volume, agreement: Volume) -> Panel:
    """Show the mask, and where at least one network marks a lesion, on the upright scan around its brain, faceless."""
    inside = on_grid(brain, scan, 0, 0).data > 0.5
    shown = around(without_face(scan, brain), inside)
    cut = {name: around(volume, inside).data for name, volume in (("lesion", lesion), ("agreement", agreement))}
    masks = {"segmentation": cut["lesion"] > 0.5, "any-network": cut["agreement"] > 0}
    return segmentation_panel(shown, around(scan.with_data(inside), inside).data, masks)


def hemispheres_panel(ncct: Volume, mirrored: Volume, brain: np.ndarray, mask: np.ndarray) -> Panel:
    """Show each slice beside the other hemisphere laid over it."""
    images = (("ncct-final", ncct, "NCCT"), ("mirrored", mirrored, "mirrored"))
    tiles = [
        Tile(
            ((picture(name, volume, view, greys(BRAIN_HU)), caption),),
            (("mask-segmentation", contour(mask, ncct, view)),),
        )
        for view in choose_views(brain, mask)
        for name, volume, caption in images
    ]
    text = "As the model sees it, and mirrored: an infarct is darker than the same place on the other side."
    return Panel("The other hemisphere", text, "compare", tiles, (("mask-segmentation", "segmentation"),), rows=2)


def numbers(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers on top of the page as pairs of a name and a value."""
    low, high = min(report["lesion_ml_of_seeds"]), max(report["lesion_ml_of_seeds"])
    found = [
        ("lesion volume", f"{report['lesion_ml']:.1f} mL"),
        ("range over the networks", f"{low:.1f} to {high:.1f} mL"),
        ("side", report["side"]),
        ("parts", str(report["components"])),
    ]
    if pairs := report["seed_dice"]:
        found.append(("Dice between networks", f"{np.mean(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"))
    return [*found, ("brain volume", f"{report['brain_ml']:.0f} mL")]


def compared(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``compared_with_training`` of a report as a reader sees it: words, units, sensible decimals."""
    shown = []
    for row in rows:
        name, unit, decimals = COMPARED[row["number"]]
        values = {key: f"{row[key]:.{decimals}f}" for key in ("value", "low", "high")}
        shown.append({"number": f"{name}, {unit}" if unit else name, **values, "flag": row["flag"]})
    return shown


def meaning(flag: str) -> str:
    """Return what a flag says: of preprocessing its own text, else that the scan is unlike those of training."""
    if flag in FLAGS:
        return FLAGS[flag].text
    return "The model was not trained on such scans: its mask may be wrong in ways that the page does not show."


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
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the images and numbers of a segmented scan, write one page."""
    arguments = _parse(argv)
    report = read_json(arguments.report)
    scan, brain = load_ras(arguments.scan), load_ras(arguments.brain)
    ncct = load_ras(arguments.ncct)
    lesion, agreement = load_ras(arguments.lesion), load_ras(arguments.agreement)
    mask = load_ras(arguments.mask).data > 0.5
    panels = [
        scan_panel(scan, brain, lesion, agreement),
        hemispheres_panel(ncct, load_ras(arguments.mirrored), brain.data > 0.5, mask),
    ]
    page = render(
        "new_patient.html.j2",
        title=TITLE,
        name=f"{arguments.cohort}/{arguments.case}",
        notice=arguments.notice,
        report=report,
        numbers=numbers(report),
        flags=[(flag, meaning(flag)) for flag in report["flags"]],
        compared=compared(report["compared_with_training"]),
        readings=readings(report["quality"]),
        colours={"mask-segmentation": REFERENCE, "mask-any-network": OVERLAYS[0]},
        panels=panels,
        pictures=pictures_of(panels),
    )
    write_text(arguments.out, page)


if __name__ == "__main__":
    run(main)
