"""Measure the pretraining on a GPU, in under eight minutes; on a CPU rehearse it. Run with `make test-gpu`."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from tests.gpu import stand_ins


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table and write it as gpu.md and gpu.json; returns how many of the measurements failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder of the table")
    parser.add_argument("--minutes", type=float, default=7.0, help="after which no measurement is begun")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--scans", type=int, default=48)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--only", nargs="*", help="names of measurements")
    arguments = parser.parse_args(argv)
    missing = stand_ins.install()
    from tests.gpu import numbers, saving, segmenting, speed
    from tests.gpu.conditions import Conditions
    from tests.gpu.table import Table, fresh_memory
    from workflow_scripts.common.malloc import keep_freed_memory

    keep_freed_memory()
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = Table(arguments.out)
    table.add("stand-ins for", ", ".join(missing) or "nothing")
    conditions = Conditions(torch.device(arguments.device), arguments.batch, arguments.scans)
    measurements = [
        speed.environment,
        numbers.kernels_beside_float64,
        speed.step,
        speed.data,
        speed.loop,
        segmenting.segmenting,
        segmenting.mae,
        saving.saving,
        speed.kernels,
        numbers.resumed,
        numbers.precisions,
        numbers.shared_batch_norm,
        numbers.other_precision,
        speed.compiled,
        speed.plain,
        numbers.trainings,
        numbers.voxels_beyond_32_bit,
    ]
    needed, failed = (speed.environment, speed.step, speed.loop), 0
    for measure in measurements:
        if arguments.only and measure not in needed and measure.__name__ not in arguments.only:
            continue
        if table.minutes > arguments.minutes:
            table.add(measure.__name__, "left out: no time")
            continue
        fresh_memory()
        try:
            measure(conditions, table)
        except Exception as error:  # noqa: BLE001 - one fault must not cost what comes after
            failed += 1
            traceback.print_exc()
            table.add(measure.__name__, "FAILED", f"{type(error).__name__}: {error}"[:300].replace("\n", " "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
