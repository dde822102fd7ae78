"""Write a pretrained encoder for other programs: bare weights, or a checkpoint that nnU-Net finetunes from."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.pretrain.encoder.adaptation_plan import to_nnunet
from workflow_scripts.pretrain.encoder.checkpoint import save_tensors

log = logging.getLogger(__name__)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.pt of a pretraining")
    parser.add_argument(
        "--format",
        choices=("state_dict", "nnunet"),
        required=True,
        help="state_dict: the weights, under the keys of the `encoder` of nnU-Net's network, and nothing else; "
        "nnunet: with the adaptation plan that nnUNetv2_preprocess_like_nnssl and nnUNetv2_train_pretrained read",
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read encoder.pt, write the export."""
    arguments = _parse(argv)
    content = read_encoder(arguments.encoder)
    exported = content["state_dict"] if arguments.format == "state_dict" else to_nnunet(content)
    save_tensors(arguments.out, exported)
    log.info("%s as %s", arguments.out.name, arguments.format)


if __name__ == "__main__":
    run(main)
