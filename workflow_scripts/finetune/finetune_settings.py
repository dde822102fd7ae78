"""Write the settings of an arm's trainings as a file of its own, which the trainings depend on."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_yaml


def main(argv: Sequence[str] | None = None) -> None:
    """Turn the options into a YAML file of the same names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--train", nargs="+", required=True, help="cohorts")
    parser.add_argument("--channels", nargs="+", required=True)
    parser.add_argument("--pretraining", help="where the encoder comes from; none: trained from scratch")
    parser.add_argument("--statistics-from", help="pretraining that lends plans and statistics, not weights")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--iterations-per-epoch", type=int, required=True)
    parser.add_argument("--validation-iterations", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--momentum", type=float, required=True, help="Nesterov")
    parser.add_argument("--oversample-foreground", type=float, required=True, help="share of the batch")
    parser.add_argument("--freeze-encoder-epochs", type=int, required=True)
    parser.add_argument("--save-every", type=int, required=True, help="epochs")
    parser.add_argument("--out", type=Path, required=True)
    settings = vars(parser.parse_args(argv))
    write_yaml(settings.pop("out"), settings)


if __name__ == "__main__":
    run(main)
