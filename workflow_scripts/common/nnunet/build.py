"""What the preparation of every dataset shares: options and files."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json, write_tsv
from workflow_scripts.common.nnunet.arrays import write_arrays
from workflow_scripts.common.nnunet.cases import COLUMNS, DatasetCase, check_case
from workflow_scripts.common.nnunet.parallel import for_each

log = logging.getLogger(__name__)


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the datasets of pretraining and finetuning share."""
    parser.add_argument("--splits", type=Path, required=True, help="split/splits.tsv")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of the final images, cohort/case/")
    parser.add_argument("--channels", nargs="+", choices=("ncct", "difference"), required=True)
    parser.add_argument("--spacing", type=float, required=True, help="isotropic spacing of the images, mm")
    parser.add_argument("--gpu-memory", type=float, required=True, help="memory that the planner fills, GB")
    parser.add_argument("--patch-size", nargs=3, type=int, metavar=("Z", "Y", "X"), help="instead of the planner's")
    parser.add_argument("--batch-size", type=int, help="instead of the planner's")
    parser.add_argument("--features", nargs="+", type=int, help="feature maps of each stage, instead of the planner's")
    parser.add_argument("--threads", type=int, default=1, help="processes that read and preprocess cases")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    torch.set_num_threads(1)


def check_cases(cases: Sequence[DatasetCase], spacing_mm: float, threads: int) -> list[int]:
    """Check every case (`check_case`); return the count of label voxels of each."""
    return for_each(check_case, [(case, spacing_mm) for case in cases], threads)


def require_cases(cases: Sequence[DatasetCase], split: str, what: str) -> list[DatasetCase]:
    """Return the cases of a split; raises `InputError` when there is none."""
    chosen = [case for case in cases if case.split == split]
    if not chosen:
        raise InputError(f"No case of the split {split!r} for {what}.", "change split.ratios or the column `split`.")
    return chosen


def write_dataset(
    folder: Path,
    cases: Sequence[DatasetCase],
    voxels: Sequence[int],
    fingerprint: Mapping[str, Any],
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    threads: int,
) -> None:
    """Write fingerprint.json, plans.json, dataset.json, cases.tsv and ``arrays/`` into ``folder``.

    ``voxels`` are the counts of label voxels of `check_cases`.
    """
    for name, content in (("fingerprint", fingerprint), ("plans", plans), ("dataset", dataset)):
        write_json(folder / f"{name}.json", content)
    rows = [case.row | {"label_voxels": count} for case, count in zip(cases, voxels, strict=True)]
    write_tsv(folder / "cases.tsv", rows, COLUMNS)
    (folder / "arrays").mkdir()
    for_each(write_arrays, [(case, plans, dataset, folder / "arrays") for case in cases], threads)
    log.info("preprocessed %d cases", len(cases))
