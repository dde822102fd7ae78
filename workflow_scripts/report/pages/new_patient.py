"""What is said of a new patient, in words and units: on the page, and on the picture that goes into the archive."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workflow_scripts.report.pages.quality import FLAGS

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

OWN = {
    "mask outside the brain": "A part of the mask lies where the brain mask has no brain: one of the two is wrong.",
}
UNLIKE = "The model was not trained on such scans: its mask may be wrong in ways that the page does not show."


NOTHING = (
    "The mask is empty. That does not say that there is no infarct: early and small ones are often invisible on CT, "
    "and the model may have missed one."
)


def numbers(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers on top of the page as pairs of a name and a value; some want several networks."""
    alone, pairs = report["lesion_ml_of_seeds"], report["seed_dice"]
    found = [("lesion volume", f"{_millilitres(report['lesion_ml'])} mL")]
    if len(alone) > 1:
        found.append(("one network alone", f"{_millilitres(min(alone))} to {_millilitres(max(alone))} mL"))
    found += [("side", report["side"]), ("parts", str(report["components"]))]
    if pairs and max(alone) > 0:
        spread = f" ({min(pairs):.2f} to {max(pairs):.2f})" if len(pairs) > 1 else ""
        found.append(("Dice between networks", f"{np.mean(pairs):.2f}{spread}"))
    return [*found, ("brain volume", f"{report['brain_ml']:.0f} mL")]


def _millilitres(volume: float) -> str:
    """Return a volume with one decimal, or two digits where that would make it 0.

    Examples
    --------
    >>> [_millilitres(volume) for volume in (0, 0.0321, 0.96, 12.345)]
    ['0', '0.032', '1.0', '12.3']
    """
    return f"{volume:.1f}" if volume >= 0.95 else f"{volume:.2g}"


def joined(model: dict[str, Any]) -> str:
    """Say how many networks a model has, and what makes one mask of several."""
    count = len(model["seeds"])
    return "one network" if count == 1 else f"{count} networks, joined by {model['vote']}"


def compared(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``compared_with_training`` of a report as a reader sees it: words, units, sensible decimals."""
    shown = []
    for row in rows:
        name, unit, decimals = COMPARED[row["number"]]
        values = {key: f"{row[key]:.{decimals}f}" for key in ("value", "low", "high")}
        shown.append({"number": f"{name}, {unit}" if unit else name, **values, "flag": row["flag"]})
    return shown


def meaning(flag: str) -> str:
    """Return what a flag says: its own text, else that the scan is unlike those of training."""
    if flag in FLAGS:
        return FLAGS[flag].text
    return OWN.get(flag, UNLIKE)


def texts(report: dict[str, Any], notice: str | None) -> list[str]:
    """Return what the picture says above its slices; nothing that tells who the patient is."""
    flags = "; ".join(report["flags"]) or "none (the mask may be wrong all the same)"
    said = [
        f"Infarct segmentation, model {report['model']['arm']}",
        "   ".join(f"{name}: {value}" for name, value in numbers(report)),
        f"Flags: {flags}",
    ]
    if not report["components"]:
        said.append(NOTHING)
    return [*said, f"The study that trained the model says: “{notice}”"] if notice else said
