"""Turn a checkpoint that nnssl wrote for the same plan into an encoder.pt that arms can be finetuned from."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.plans import CONFIGURATION
from workflow_scripts.pretrain.encoder.checkpoint import save_tensors
from workflow_scripts.pretrain.encoder.description import INTENSITIES
from workflow_scripts.pretrain.encoder.nnssl import from_nnssl

log = logging.getLogger(__name__)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint with an nnssl_adaptation_plan")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of rule pretrain_dataset, planned alike")
    parser.add_argument("--out", type=Path, required=True, help="encoder.pt to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read checkpoint and plans, check that they fit, write the encoder."""
    arguments = _parse(argv)
    checkpoint = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    plans, channels = (
        read_json(arguments.dataset / "plans.json"),
        read_json(arguments.dataset / "dataset.json")["channels"],
    )
    configuration = plans["configurations"][CONFIGURATION]
    weights = from_nnssl(checkpoint, plans, len(channels))
    pretrained = next(iter(checkpoint["nnssl_adaptation_plan"]["pretrain_plan"]["configurations"].values()))
    content = {
        "state_dict": weights,
        "architecture": configuration["architecture"],
        "plans": plans,
        "channels": channels,
        "patch_size": pretrained["patch_size"],
        "spacing_mm": configuration["spacing"],
        "intensities": plans[INTENSITIES],
        "imported": {"trainer": checkpoint.get("trainer_name"), "file": arguments.checkpoint.name},
    }
    save_tensors(arguments.out, content)
    log.info("%d weights of %s", len(weights), arguments.checkpoint.name)


if __name__ == "__main__":
    run(main)
