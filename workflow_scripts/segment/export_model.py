"""Export the models of an arm as one folder and one zip that need nothing of the study to segment a new patient."""

import argparse
import io
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, replacing_folder, write_json, write_text
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.plans import CONFIGURATION
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.vocabulary import TRAIN, VALIDATION
from workflow_scripts.common.volume import load_volume
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.card import metrics, model_card
from workflow_scripts.segment.model.contents import DATASET, PLANS, PREPROCESSING, REFERENCE
from workflow_scripts.segment.model.features import encoder_features
from workflow_scripts.segment.model.measures import scan_measures
from workflow_scripts.segment.model.reference import fit_reference
from workflow_scripts.study.code_digest import code_digest
from workflow_scripts.study.paths import case_folder

SECTIONS = ("seed", "ingest", "preprocess", "segment")  # of the configuration, which decide what becomes of a scan

log = logging.getLogger(__name__)


def bare(checkpoint: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return what nnU-Net reads of a checkpoint, as its fold ``number``, and nothing that the study added."""
    given = checkpoint["init_args"]
    return {
        "network_weights": checkpoint["network_weights"],
        "trainer_name": checkpoint["trainer_name"],
        "init_args": {**{name: given[name] for name in ("plans", "configuration", "dataset_json")}, "fold": number},
        "inference_allowed_mirroring_axes": checkpoint["inference_allowed_mirroring_axes"],
    }


def reference_of(segmenter: Segmenter, preprocess: Path, ingest: Path, cases: Sequence[str]) -> dict[str, Any]:
    """Measure the scans ``cases`` (cohort/case) by their final images and the converted ones; sum them up."""
    measures, features = [], []
    for name in cases:
        cohort, case = name.split("/")
        final = case_folder(preprocess, cohort, case)
        ncct, brain = load_volume(final / "ncct.nii.gz"), load_volume(final / "brain.nii.gz", np.uint8)
        measures.append(scan_measures(ncct, brain, load_volume(case_folder(ingest, cohort, case) / "ncct.nii.gz")))
        image, _ = segmenter.prepared(channel_files(final, segmenter.channels))
        features.append(encoder_features(segmenter, image))
    return fit_reference(measures, np.array(features))


def write_networks(checkpoints: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write plans, dataset description and one fold a checkpoint, as nnU-Net lays them out."""
    write_json(folder / PLANS, checkpoints[0]["init_args"]["plans"])
    write_json(folder / DATASET, checkpoints[0]["init_args"]["dataset_json"])
    for number, checkpoint in enumerate(checkpoints):
        buffer = io.BytesIO()
        torch.save(bare(checkpoint, number), buffer)
        (folder / layout.fold(number)).mkdir()
        (folder / layout.fold(number) / layout.CHECKPOINT).write_bytes(buffer.getvalue())


def seen_in_training(splits: Path, cases: Sequence[str]) -> dict[str, list[str]]:
    """Return which of ``cases`` (cohort/case) trained the networks, and which chose the epoch, by split."""
    split_of = {f"{row['cohort']}/{row['case']}": row["split"] for row in read_tsv(splits)}
    seen = {split: [case for case in cases if split_of.get(case) == split] for split in (TRAIN, VALIDATION)}
    if not seen[TRAIN]:
        raise InputError("No training case of the arm is in the split table.", "run all_split again.")
    return seen


def describe(settings: Mapping[str, Any], channels: Sequence[str], seen: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what manifest and card say of the model beside its files."""
    return {
        "arm": settings["arm"],
        "seeds": settings["seeds"],
        "channels": channels,
        "pretraining": settings["pretraining"],
        "vote": settings["segment"]["vote"],
        "spacing_mm": settings["preprocess"]["spacing_mm"],
        "skull_stripping": settings["preprocess"]["skull_stripping"]["ncct"],
        "training_scans": len(seen[TRAIN]),
        "validation_scans": len(seen[VALIDATION]),
        "licence": settings["licence"],
        "notice": settings["notice"],
        "code": code_digest("segment.export_model"),
        "versions": layout.installed(),
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: arm, ingest, preprocess, segment, …")
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True, help="one a seed")
    parser.add_argument("--template", type=Path, help="CT template, where the mirroring uses one")
    parser.add_argument("--template-mask", type=Path, help="its brain mask")
    parser.add_argument("--splits-table", type=Path, required=True, help="split/splits.tsv")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of the final images, cohort/case/")
    parser.add_argument("--ingest", type=Path, required=True, help="folder of the converted images, cohort/case/")
    parser.add_argument("--cases", nargs="+", required=True, help="cohort/case of the arm's labelled cases")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="scores.tsv of the arm, and test_scores.tsv")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--archive", type=Path, required=True, help="zip of the folder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read checkpoints and training scans; write the model's folder, whole or not at all, and its zip."""
    arguments = _parse(argv)
    torch.set_num_threads(arguments.threads)
    settings = arguments.settings
    checkpoints = [read_checkpoint(path) for path in arguments.checkpoints]
    seen = seen_in_training(arguments.splits_table, arguments.cases)
    segmenter = Segmenter(checkpoints[0], 1.0, False, torch.device("cpu"))
    reference = reference_of(segmenter, arguments.preprocess, arguments.ingest, seen[TRAIN] + seen[VALIDATION])
    description = describe(settings, segmenter.channels, seen)
    scores = metrics(row for table in arguments.scores for row in read_tsv(table))
    with replacing_folder(arguments.out) as folder:
        write_networks(checkpoints, folder)
        write_json(folder / REFERENCE, reference)
        write_json(folder / PREPROCESSING, {name: settings[name] for name in SECTIONS})
        if arguments.template:
            shutil.copyfile(arguments.template, folder / layout.TEMPLATE)
            shutil.copyfile(arguments.template_mask, folder / layout.TEMPLATE_MASK)
        plans = read_json(folder / PLANS)["configurations"][CONFIGURATION]
        write_text(folder / "README.md", model_card({"format": layout.FORMAT, **description}, scores, plans))
        layout.seal(folder, description)
        layout.pack(folder, arguments.archive)
    log.info("%s: %d networks, %d training scans", settings["arm"], len(checkpoints), len(seen[TRAIN]))


if __name__ == "__main__":
    run(main)
