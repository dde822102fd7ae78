"""Prepare the nnU-Net dataset of an arm: labelled cases, planned with a pretraining's statistics (paper 3.3)."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json, read_tsv, replacing_entries
from workflow_scripts.common.nnunet.build import (
    add_dataset_options,
    check_cases,
    require_cases,
    write_dataset,
)
from workflow_scripts.common.nnunet.cases import DatasetCase, select_cases
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES, extract_fingerprint, with_intensities_of
from workflow_scripts.common.nnunet.plans import (
    dataset_json,
    make_plans,
    read_plans,
    with_architecture_of,
    with_overrides,
)

log = logging.getLogger(__name__)


def prepare(arguments: argparse.Namespace, cases: Sequence[DatasetCase], folder: Path) -> None:
    """Write the dataset of ``cases`` into ``folder``; statistics come from the training split or the base alone."""
    voxels = check_cases(cases, arguments.spacing, arguments.threads)
    train = [index for index, case in enumerate(cases) if case.split == "train"]
    fingerprint = extract_fingerprint(
        [cases[index] for index in train], [voxels[index] for index in train], arguments.threads
    )
    if arguments.base_fingerprint:
        fingerprint = with_intensities_of(fingerprint, read_json(arguments.base_fingerprint, [INTENSITIES]))
    dataset = dataset_json(arguments.channels, "lesion", len(train))
    plans = make_plans(fingerprint, dataset, cases[train[0]], arguments.spacing, arguments.gpu_memory)
    if arguments.base_plans:
        plans = with_architecture_of(plans, read_plans(arguments.base_plans))
    else:
        plans = with_overrides(plans, arguments.patch_size, arguments.batch_size, arguments.features)
    write_dataset(folder, cases, voxels, fingerprint, plans, dataset, arguments.threads)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_dataset_options(parser)
    parser.add_argument("--cases", nargs="+", required=True, metavar="COHORT/CASE", help="the labelled cases")
    parser.add_argument("--base-fingerprint", type=Path, help="fingerprint of a pretraining: intensity statistics")
    parser.add_argument("--base-plans", type=Path, help="plans of a pretraining: architecture, patch and batch")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the split table, pick the labelled cases of training and validation, write the dataset's folder."""
    arguments = _parse(argv)
    cases = select_cases(
        read_tsv(arguments.splits),
        arguments.preprocess,
        "lesion",
        arguments.channels,
        wanted={tuple(name.split("/")) for name in arguments.cases},
        wanted_splits={"train", "validation"},
    )
    for split in ("train", "validation"):
        require_cases(cases, split, "the finetuning")
    with replacing_entries(arguments.out) as folder:
        prepare(arguments, cases, folder)


if __name__ == "__main__":
    run(main)
