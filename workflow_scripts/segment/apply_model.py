"""Make of what the networks of an exported model say of a new patient masks, maps and numbers, with what is unusual."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.acquired_grid import resample_mask, to_acquired
from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.lesion_facts import side
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume
from workflow_scripts.segment.masks.acquired_grid import write_acquired
from workflow_scripts.segment.masks.agreement import components_ml, dice_of_pairs, share_of_members
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.contents import PREPROCESSING, REFERENCE
from workflow_scripts.segment.model.measures import scan_measures
from workflow_scripts.segment.model.reference import unfamiliar
from workflow_scripts.segment.model.result import RESULT, Result

NOTICE = "RESEARCH USE ONLY. Not a medical device; no result may guide the care of a patient."
OUTSIDE = "mask outside the brain"
OUTPUTS = ("final", "lesion", "slices", "upright", "agreement", "probability", "report")

log = logging.getLogger(__name__)


def scan_flags(ingest: Mapping[str, Any]) -> list[str]:
    """Return what the record of a conversion (``ncct.json``) says against the scan."""
    chosen = next((one for one in ingest.get("series", []) if one["decision"] == "chosen"), {})
    flags = []
    if ingest["slices"]["missing"] or ingest["slices"]["lost_at_the_ends"]:
        flags.append("slices missing")
    if chosen.get("kernel") == "sharp":
        flags.append("sharp (bone) kernel")
    if chosen.get("contrast"):
        flags.append("contrast medium")
    return flags


def outside_share(mask: np.ndarray, brain: np.ndarray) -> float:
    """Return the share of a mask that lies outside the brain, 0 for an empty mask; both on one grid."""
    marked = np.count_nonzero(mask)
    return float(np.count_nonzero(mask[brain == 0]) / marked) if marked else 0.0


def all_flags(
    ingest: Mapping[str, Any],
    case: Mapping[str, Any],
    compared: Sequence[Mapping[str, Any]],
    outside: float,
    most_outside: float,
) -> list[str]:
    """Return every flag of a scan, once: of its record, its preprocessing, its likeness to the training set, its mask.

    ``outside`` is `outside_share` of the mask, of which ``most_outside`` is not flagged.
    """
    flags = scan_flags(ingest) + case["quality"]["flags"] + [one["flag"] for one in compared if one["flag"]]
    # Record and preprocessing both tell of missing slices.
    return list(dict.fromkeys([*flags, *([OUTSIDE] if outside > most_outside else [])]))


def not_made(ingest: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that a new patient cannot get, each with the reason."""
    if ingest["source"] == "dicom":
        return {}
    return {"lesion.dcm": "a DICOM Segmentation refers to a DICOM series, and the scan is a NIfTI file"}


def acquired_ml(mask: Volume, ingest: Mapping[str, Any]) -> float:
    """Return the volume that a mask on the final grid has on the acquired slices, by their true distances, mL."""
    return stack_of(ingest).millilitres(to_acquired(mask, ingest).data)


def report(
    model: Path, result: Result, images: Path, scan: Volume, ingest: Mapping[str, Any], lesion_ml: float
) -> dict[str, Any]:
    """Return the content of ``report.json``.

    Parameters
    ----------
    model
        folder of the exported model
    images
        folder of the case's final images, of which `case.json` and the brain are read
    scan
        as converted, HU
    ingest
        content of ``ncct.json``
    lesion_ml
        on the acquired slices
    """
    case = read_json(images / "case.json")
    ncct, brain = load_volume(images / "ncct.nii.gz"), load_volume(images / "brain.nii.gz", np.uint8)
    manifest, reference, made = (read_json(model / name) for name in (layout.MANIFEST, REFERENCE, PREPROCESSING))
    compared = unfamiliar(reference, scan_measures(ncct, brain, scan), result.features)
    mask = ncct.with_data(result.mask)
    parts = components_ml(mask)
    outside = outside_share(result.mask, brain.data)
    return {
        "notice": NOTICE,
        "lesion_ml": lesion_ml,
        "lesion_ml_of_seeds": [acquired_ml(mask.with_data(each), ingest) for each in result.members],
        "side": side(mask, read_affine(images / "ncct_to_template.txt")),
        "components": len(parts),
        "components_ml": parts,
        "outside_brain": outside,
        "seed_dice": dice_of_pairs(result.members),
        "brain_ml": case["facts"]["brain_ml"],
        "flags": all_flags(ingest, case, compared, outside, made["preprocess"]["quality"]["max_lesion_outside_brain"]),
        "compared_with_training": compared,
        "not_made": not_made(ingest),
        "quality": case["quality"],
        "scan": {name: ingest[name] for name in ("source", "acquired_shape", "equal_gaps", "tilt_degrees")},
        "model": {name: manifest[name] for name in ("arm", "seeds", "vote", "format", "code", "versions", "licence")},
        "versions": layout.installed(),
    }


def result_of(networks: Path, name: str) -> Result:
    """Return what the networks say of a patient (cohort/case); raises `InputError` where they could not run on it."""
    said = read_json(networks)
    if failure := said["failed"].get(name):
        raise InputError(*failure)
    return Result.load(Path(said["made"][name]) / RESULT)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--networks", type=Path, required=True, help="JSON of run_networks: what they say of the case")
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument("--images", type=Path, required=True, help="folder of the case's final images")
    parser.add_argument("--scan", type=Path, required=True, help="the converted NCCT, upright")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json of the case: the acquired slices")
    for name in OUTPUTS:
        parser.add_argument(f"--out-{name}", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the model, read what its networks say, write masks, maps and numbers."""
    arguments = _parse(argv)
    layout.check_model(arguments.model)
    result = result_of(arguments.networks, f"{arguments.cohort}/{arguments.case}")
    ingest, scan = read_json(arguments.record), load_volume(arguments.scan)
    mask = load_volume(arguments.images / "ncct.nii.gz").with_data(result.mask)
    upright = (scan.data.shape, scan.affine)
    save_volume(arguments.out_final, mask, np.uint8)
    slices = write_acquired(mask, ingest, arguments.out_lesion, arguments.out_slices)
    save_volume(arguments.out_upright, resample_mask(mask, *upright), np.uint8)
    for path, values in (
        (arguments.out_agreement, share_of_members(result.members)),
        (arguments.out_probability, result.probability),
    ):
        save_volume(path, resample(mask.with_data(values), *upright, order=1, background=0), np.float32)
    content = report(arguments.model, result, arguments.images, scan, ingest, slices["lesion_ml"])
    write_json(arguments.out_report, content)
    log.info("%.1f mL (%s), flags: %s", content["lesion_ml"], content["side"], ", ".join(content["flags"]) or "none")


if __name__ == "__main__":
    run(main)
