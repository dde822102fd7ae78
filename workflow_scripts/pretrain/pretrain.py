"""Rule pretrain: train an encoder on the arrays of an image set, without labels."""

import argparse
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_yaml, write_tsv
from workflow_scripts.pretrain.checkpoint import StateFile, code_digest, save_encoder
from workflow_scripts.pretrain.cohort import Cohort, open_cohort
from workflow_scripts.pretrain.ranks import joined, process_count
from workflow_scripts.pretrain.settings import Settings, parse_settings
from workflow_scripts.pretrain.student import CONFIGURATION
from workflow_scripts.pretrain.train import pretrain

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Read settings and dataset, train, write the teacher's encoder and the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, type=Path, help="settings.yaml of the pretraining")
    parser.add_argument("--dataset", required=True, type=Path, help="folder of rule pretrain_dataset")
    parser.add_argument("--threads", type=int, default=1, help="threads for reading and for torch on the CPU")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--state", type=Path, help="folder for the state of an unfinished training; default: none kept")
    parser.add_argument("--encoder", required=True, type=Path, help="encoder.pt to write")
    parser.add_argument("--curves", required=True, type=Path, help="curves.tsv to write")
    parser.add_argument("--rankme", required=True, type=Path, help="rankme.tsv to write")
    args = parser.parse_args(argv)
    torch.set_num_threads(max(1, args.threads // process_count()))
    settings = parse_settings(read_yaml(args.settings))
    plans = read_json(args.dataset / "plans.json")
    cohort = open_cohort(args.dataset, len(settings.channels), settings.symmetry, args.threads)
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    state = StateFile(args.state, training_digest(settings, cohort, plans))
    with joined(choose_device(args.device)) as (ranks, device):
        trained = pretrain(cohort, architecture, settings, device, args.threads, state, ranks)
    if not ranks.first:
        return
    save_encoder(args.encoder, trained.encoder, describe(settings, cohort, plans))
    write_tsv(args.curves, trained.curves, list(trained.curves[0]))
    write_tsv(args.rankme, trained.rankme, list(trained.rankme[0]))
    state.discard()


def choose_device(name: str) -> torch.device:
    """Return the device asked for; `auto` is the GPU where there is one. Raises `InputError` for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("No GPU can be used here.", "give --device cpu, or run where there is one.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def describe(settings: Settings, cohort: Cohort, plans: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the encoder's file says of its origin."""
    return {
        "architecture": plans["configurations"][CONFIGURATION]["architecture"],
        "plans": dict(plans),
        "channels": list(settings.channels),
        "settings": settings.to_mapping(),
        "image_set": settings.image_set,
        "splits": list(settings.splits),
        "cases": [scan.name for scan in cohort.of_splits(settings.splits)],
        "code": code_digest(),
    }


def training_digest(settings: Settings, cohort: Cohort, plans: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides a training: settings, plans, images and code."""
    parts = [settings.to_mapping(), plans, cohort.digest, code_digest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    run(main)
