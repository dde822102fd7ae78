"""Make phantom cohorts of any size, with their case sheet."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_tsv
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import CasePlan, plan_cohorts, sheet_row
from workflow_scripts.phantom.head import add_resolution, make_case
from workflow_scripts.phantom.scanner.layouts import LAYOUTS

log = logging.getLogger(__name__)


def parse_patients(texts: Sequence[str]) -> Mapping[str, int]:
    """Turn ``COHORT=N`` into numbers of patients; raises `InputError` for anything else."""
    numbers = {}
    for text in texts:
        cohort, _, number = text.partition("=")
        if cohort not in LAYOUTS or not number.isdecimal():
            raise InputError(
                f"--patients {text!r} is not COHORT=N.", f"give a number of patients for any of {', '.join(LAYOUTS)}."
            )
        numbers[cohort] = int(number)
    return numbers


def write_sheet(path: Path, plans: Sequence[CasePlan]) -> None:
    """Write the case sheet of the planned cases."""
    rows = [sheet_row(plan) for plan in plans]
    write_tsv(path, rows, list(rows[0]) if rows else [])


def make_cohorts(plans: Sequence[CasePlan], voxel_mm: float, slice_mm: float, out: Path, workers: int) -> None:
    """Make all cases; each worker process builds the anatomy once for its share of them."""
    shares = [plans[start::workers] for start in range(workers)]
    make = partial(_make_share, voxel_mm=voxel_mm, slice_mm=slice_mm, out=out)
    if workers == 1:
        make(plans)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for made in pool.map(make, shares):
            log.info("%d cases made by one worker", made)


def _make_share(plans: Sequence[CasePlan], voxel_mm: float, slice_mm: float, out: Path) -> int:
    anatomy = build_anatomy(voxel_mm)
    for plan in plans:
        folder, truth = out / plan.cohort / plan.case, out / "truth" / plan.cohort / plan.case
        make_case(anatomy, plan, voxel_mm, slice_mm, folder, truth)
    return len(plans)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_resolution(parser)
    parser.add_argument("--patients", nargs="+", required=True, metavar="COHORT=N", help=f"of {', '.join(LAYOUTS)}")
    parser.add_argument("--workers", type=int, default=1, help="processes that make cases")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="folder of the cohorts")
    target.add_argument("--sheet-only", type=Path, help="write only this case sheet")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write all cases under ``--out`` with ``cases.tsv`` and ``truth/``, or with ``--sheet-only`` just the sheet."""
    arguments = _parse(argv)
    plans = plan_cohorts(parse_patients(arguments.patients), arguments.seed)
    if arguments.sheet_only:
        write_sheet(arguments.sheet_only, plans)
        return
    make_cohorts(plans, arguments.voxel_mm, arguments.slice_mm, arguments.out, arguments.workers)
    write_sheet(arguments.out / "cases.tsv", plans)


if __name__ == "__main__":
    run(main)
