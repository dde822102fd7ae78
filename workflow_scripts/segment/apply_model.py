"""Segment one new patient with an exported model: masks, agreement of its networks, and whether the scan is unusual."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.lesion_facts import side
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import load_volume, resample, save_volume
from workflow_scripts.segment.masks.acquired_grid import resample_mask, to_acquired, write_acquired
from workflow_scripts.segment.masks.agreement import components_ml, dice_of_pairs, share_of_members
from workflow_scripts.segment.masks.vote import vote
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.measures import encoder_features, scan_measures
from workflow_scripts.segment.model.reference import unfamiliar

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


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument("--images", type=Path, required=True, help="folder of the case's final images")
    parser.add_argument("--scan", type=Path, required=True, help="the converted NCCT, upright")
    parser.add_argument("--record", type=Path, required=True, help="ncct.json of the case: the acquired slices")
    parser.add_argument("--threads", type=int, default=1)
    for name in OUTPUTS:
        parser.add_argument(f"--out-{name}", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the model, run each of its networks on the case, write masks, maps and numbers."""
    arguments = _parse(argv)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    manifest = layout.check_model(arguments.model)
    settings = read_json(arguments.model / layout.PREPROCESSING)["segment"]
    ingest = read_json(arguments.record)
    ncct = load_volume(arguments.images / "ncct.nii.gz")
    brain = load_volume(arguments.images / "brain.nii.gz", np.uint8)
    scan = load_volume(arguments.scan)

    masks, probabilities, features = [], [], None
    for number, path in enumerate(layout.checkpoints(arguments.model, manifest), start=1):
        log.info("network %d of %d", number, len(manifest["seeds"]))
        segmenter = Segmenter(read_checkpoint(path), settings["step"], settings["mirroring"], device)
        files = channel_files(arguments.images, segmenter.channels)
        if features is None:
            features = encoder_features(segmenter, segmenter.prepared(files)[0])
        mask, probability = segmenter(files)
        masks.append(mask)
        probabilities.append(probability)

    mask = ncct.with_data(vote(masks if settings["vote"] == "majority" else probabilities))
    save_volume(arguments.out_final, mask, np.uint8)
    slices = write_acquired(mask, ingest, arguments.out_lesion, arguments.out_slices)
    grid = (scan.data.shape, scan.affine)
    save_volume(arguments.out_upright, resample_mask(mask, *grid), np.uint8)
    mean = np.mean(probabilities, axis=0, dtype=np.float64).astype(np.float32)
    for path, values in ((arguments.out_agreement, share_of_members(masks)), (arguments.out_probability, mean)):
        save_volume(path, resample(ncct.with_data(values), *grid, order=1, background=0), np.float32)

    case = read_json(arguments.images / "case.json")
    of_seeds = [stack_of(ingest).millilitres(to_acquired(ncct.with_data(each), ingest).data) for each in masks]
    compared = unfamiliar(read_json(arguments.model / layout.REFERENCE), scan_measures(ncct, brain, scan), features)
    parts = components_ml(mask)
    report = {
        "notice": "Research use only. Not a medical device; no result may guide the care of a patient.",
        "lesion_ml": slices["lesion_ml"],
        "lesion_ml_of_seeds": of_seeds,
        "side": side(mask, read_affine(arguments.images / "ncct_to_template.txt")),
        "components": len(parts),
        "components_ml": parts,
        "seed_dice": dice_of_pairs(masks),
        "brain_ml": case["facts"]["brain_ml"],
        "flags": scan_flags(ingest) + case["quality"]["flags"] + [one["flag"] for one in compared if one["flag"]],
        "compared_with_training": compared,
        "quality": {"checks": case["quality"]["checks"], "flags": case["quality"]["flags"]},
        "scan": {name: ingest[name] for name in ("source", "acquired_shape", "equal_gaps", "tilt_degrees")},
        "model": {name: manifest[name] for name in ("arm", "seeds", "vote", "format", "code", "versions", "licence")},
    }
    write_json(arguments.out_report, report)
    log.info("%.1f mL (%s), flags: %s", report["lesion_ml"], report["side"], ", ".join(report["flags"]) or "none")


if __name__ == "__main__":
    run(main)
