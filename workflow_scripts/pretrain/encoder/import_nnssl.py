"""Turn a checkpoint that nnssl wrote for the same plan into an encoder.pt that arms can be finetuned from."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES
from workflow_scripts.common.nnunet.plans import CONFIGURATION, read_plans
from workflow_scripts.common.tensor_files import read_tensors
from workflow_scripts.pretrain.encoder.adaptation_plan import from_nnssl, patch_of
from workflow_scripts.pretrain.encoder.checkpoint import save_tensors

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
    checkpoint = read_tensors(arguments.checkpoint, "give a checkpoint that nnssl wrote.")
    plans = read_plans(arguments.dataset / "plans.json")
    channels = read_json(arguments.dataset / "dataset.json", ["channels"])["channels"]
    configuration = plans["configurations"][CONFIGURATION]
    weights = from_nnssl(checkpoint, plans, len(channels))
    content = {
        "state_dict": weights,
        "architecture": configuration["architecture"],
        "plans": plans,
        "channels": channels,
        "patch_size": patch_of(checkpoint),
        "spacing_mm": configuration["spacing"],
        "intensities": plans[INTENSITIES],
        "imported": {"trainer": checkpoint.get("trainer_name"), "file": arguments.checkpoint.name},
    }
    save_tensors(arguments.out, content)
    log.info("%d weights of %s", len(weights), arguments.checkpoint.name)


if __name__ == "__main__":
    run(main)
