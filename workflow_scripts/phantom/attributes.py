"""Gather what the phantoms are into one table: what a network that sees only their images was never told."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json, write_tsv

COLUMNS = (
    *("cohort", "case", "head_size", "ventricles", "pitch_degrees", "roll_degrees", "yaw_degrees"),
    *("lesion_ml", "side"),
)


def attributes_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table from the parameters of a phantom (``head.json``).

    ``head_size`` is the volume relative to the MNI152 brain, ``ventricles`` their growth relative to it;
    ``lesion_ml`` is the planned volume (mL) of all lesions, ``side`` where they lie: left, right, bilateral or none.
    """
    return {
        "cohort": parameters["cohort"],
        "case": parameters["case"],
        "head_size": float(np.prod(parameters["scale"])),
        "ventricles": parameters["ventricles"],
        **{f"{axis}_degrees": parameters["pose"][f"{axis}_degrees"] for axis in ("pitch", "roll", "yaw")},
        "lesion_ml": float(sum(lesion["volume_ml"] for lesion in parameters["lesions"])),
        "side": parameters["side"],
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, nargs="+", required=True, help="folder of the truth of each case")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the parameters of every phantom, write the table."""
    arguments = _parse(argv)
    write_tsv(arguments.out, [attributes_of(read_json(folder / "head.json")) for folder in arguments.truth], COLUMNS)


if __name__ == "__main__":
    run(main)
