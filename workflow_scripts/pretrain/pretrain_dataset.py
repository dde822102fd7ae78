"""Prepare the nnU-Net dataset of a pretraining: NCCTs with brain masks as labels (paper 3.3, first step)."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv, replacing_entries
from workflow_scripts.common.nnunet.arrays import write_companion
from workflow_scripts.common.nnunet.build import (
    add_dataset_options,
    check_cases,
    require_cases,
    write_dataset,
)
from workflow_scripts.common.nnunet.cases import DatasetCase, select_cases
from workflow_scripts.common.nnunet.fingerprint import extract_fingerprint
from workflow_scripts.common.nnunet.parallel import for_each
from workflow_scripts.common.nnunet.plans import dataset_json, make_plans, with_overrides

log = logging.getLogger(__name__)


def prepare(arguments: argparse.Namespace, cases: Sequence[DatasetCase], folder: Path) -> None:
    """Write the dataset of ``cases`` into ``folder``; only the cases of ``arguments.seen_splits`` give statistics."""
    voxels = check_cases(cases, arguments.spacing, arguments.threads)
    seen = {case: count for case, count in zip(cases, voxels, strict=True) if case.split in arguments.seen_splits}
    fingerprint = extract_fingerprint(list(seen), list(seen.values()), arguments.threads)
    fingerprint["cases"] = [f"{case.cohort}/{case.case}" for case in seen]
    dataset = dataset_json(arguments.channels, "brain", len(seen))
    plans = make_plans(fingerprint, dataset, cases[0], arguments.spacing, arguments.gpu_memory)
    plans = with_overrides(plans, arguments.patch_size, arguments.batch_size, arguments.features)
    write_dataset(folder, cases, voxels, fingerprint, plans, dataset, arguments.threads)
    (folder / "companions").mkdir()
    jobs = [(case, plans, dataset, folder / "arrays", folder / "companions") for case in cases]
    for_each(write_companion, jobs, arguments.threads)
    log.info("statistics from %d cases of %s", len(seen), ", ".join(arguments.seen_splits))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset_options(parser)
    parser.add_argument("--cohorts", nargs="+", required=True, help="cohorts of the image set")
    parser.add_argument("--seen-splits", nargs="+", required=True, help="splits that are seen, also by the statistics")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the split table, pick the cases of the image set, write the dataset's folder."""
    arguments = _parse(argv)
    rows = [row for row in read_tsv(arguments.splits) if row["cohort"] in arguments.cohorts]
    cases = select_cases(
        rows,
        arguments.preprocess,
        "brain",
        arguments.channels,
        wanted={(row["cohort"], row["case"]) for row in rows},
        wanted_splits={*arguments.seen_splits, "validation"},
    )
    for split in arguments.seen_splits:
        require_cases(cases, split, "the pretraining")
    with replacing_entries(arguments.out) as folder:
        prepare(arguments, cases, folder)


if __name__ == "__main__":
    run(main)
