"""Rule pretrain_settings: write the settings of one pretraining as a file of its own."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_yaml
from workflow_scripts.pretrain.settings import METHODS, parse_settings

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Join the pretraining's own entry and the shared section of the configuration, check and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretraining", required=True, help="name of the pretraining")
    parser.add_argument("--image-set", required=True, help="name of the image set whose cases it sees")
    parser.add_argument("--channels", required=True, nargs="+", help="channels of the network's input, in order")
    parser.add_argument("--symmetry", required=True, choices=["true", "false"], help="symmetry augmentation")
    parser.add_argument(
        "--method", default="desd", choices=METHODS, help="deep self-distillation, or masked autoencoding"
    )
    parser.add_argument("--seed", required=True, type=int, help="every random choice derives from it")
    parser.add_argument("--config", required=True, type=json.loads, help="section `pretrain` as JSON")
    parser.add_argument("--output", required=True, type=Path, help="settings.yaml to write")
    args = parser.parse_args(argv)
    own = {
        "pretraining": args.pretraining,
        "image_set": args.image_set,
        "channels": args.channels,
        "symmetry": args.symmetry == "true",
        "method": args.method,
        "seed": args.seed,
    }
    shared = {**args.config}
    optimisers = shared.pop("optimisers")
    settings = parse_settings(own | shared | {"optimiser": optimisers[shared["preset"]]})
    write_yaml(args.output, settings.to_mapping())
    log.info("%s: %d epochs of %d steps", settings.pretraining, settings.epochs, settings.steps_per_epoch)


if __name__ == "__main__":
    run(main)
