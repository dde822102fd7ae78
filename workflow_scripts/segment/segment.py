"""Segment the cases of a cohort with one finetuned model."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.common.cli import run
from workflow_scripts.common.device import choose_device
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, save_volume
from workflow_scripts.study.paths import case_folder

log = logging.getLogger(__name__)


def segment_case(segmenter: Segmenter, folder: Path, name: str) -> tuple[Volume, Volume]:
    """Return mask and lesion probability of the case whose final images lie in ``folder``, on the grid of its NCCT."""
    files = channel_files(folder, segmenter.channels)
    ncct = load_volume(files[0])
    for file in files[1:]:
        require_same_grid(ncct, load_volume(file), f"{name}: {files[0].name}", file.name)
    mask, probability = segmenter(files)
    return ncct.with_data(mask), ncct.with_data(probability)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of the final images, cohort/case/")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--step", type=float, required=True, help="stride of the window, share of the patch")
    parser.add_argument(
        "--mirroring", action=argparse.BooleanOptionalAction, required=True, help="average over mirror images"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--out", type=Path, required=True, help="folder of the masks")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Load the model once, then read, segment and write case by case."""
    arguments = _parse(argv)
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.gpus)
    checkpoint = read_checkpoint(arguments.checkpoint)
    segmenter = Segmenter(checkpoint, arguments.step, arguments.mirroring, device)
    for case in arguments.cases:
        folder = case_folder(arguments.preprocess, arguments.cohort, case)
        mask, probability = segment_case(segmenter, folder, f"Case {arguments.cohort}/{case}")
        save_volume(arguments.out / f"{case}.nii.gz", mask, np.uint8)
        save_volume(arguments.out / f"{case}.probability.nii.gz", probability, np.float32)
        log.info("%s/%s: %.1f mL", arguments.cohort, case, mask.data.sum() * mask.voxel_ml)


if __name__ == "__main__":
    run(main)
