"""Segment a case with one finetuned model, and cases of its batch that are still to come while the model is loaded."""

import argparse
import logging
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.files import replacing
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, save_volume
from workflow_scripts.segment.model.batch import Store, outdated, segment_batch
from workflow_scripts.study.paths import case_folder

if TYPE_CHECKING:
    from workflow_scripts.common.nnunet.predict import Segmenter

MASK, PROBABILITY = "mask.nii.gz", "probability.nii.gz"

log = logging.getLogger(__name__)


def segment_case(segmenter: "Segmenter", folder: Path, name: str) -> tuple[Volume, Volume]:
    """Return mask and lesion probability of the case whose final images lie in ``folder``, on the grid of its NCCT."""
    files = channel_files(folder, segmenter.channels)
    ncct = load_volume(files[0])
    for file in files[1:]:
        require_same_grid(ncct, load_volume(file), f"{name}: {files[0].name}", file.name)
    mask, probability = segmenter(files)
    return ncct.with_data(mask), ncct.with_data(probability)


def segmenting(arguments: argparse.Namespace) -> Callable[[str, Path], None]:
    """Return what segments a case into a folder; the model is loaded for the first one and stays."""

    @cache
    def segmenter() -> "Segmenter":
        # Not above: a case that the store has needs none of it, and importing it takes seconds.
        import torch

        from workflow_scripts.common.device import choose_device
        from workflow_scripts.common.nnunet.network import read_checkpoint
        from workflow_scripts.common.nnunet.predict import Segmenter

        torch.set_num_threads(arguments.threads)
        device = choose_device(arguments.gpus)
        log.info("loading the model")
        return Segmenter(read_checkpoint(arguments.checkpoint), arguments.step, arguments.mirroring, device)

    def make(case: str, folder: Path) -> None:
        name = f"{arguments.cohort}/{case}"
        images = case_folder(arguments.preprocess, arguments.cohort, case)
        mask, probability = segment_case(segmenter(), images, f"Case {name}")
        save_volume(folder / MASK, mask, np.uint8)
        save_volume(folder / PROBABILITY, probability, np.float32)
        log.info("%s: %.1f mL", name, mask.data.sum() * mask.voxel_ml)

    return make


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--batch", default="", help="other cases of the cohort that are wanted, separated by commas")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of the final images, cohort/case/")
    parser.add_argument("--channels", nargs="+", required=True, help="ncct, or ncct and difference")
    parser.add_argument("--step", type=float, required=True, help="stride of the window, share of the patch")
    parser.add_argument(
        "--mirroring", action=argparse.BooleanOptionalAction, required=True, help="average over mirror images"
    )
    parser.add_argument("--code", default="", help="digest of the code; results of other code are not taken")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--store", type=Path, required=True, help="folder of results that wait for their jobs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the masks of the cohort")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Take the case from the store or segment it; write mask and probability."""
    arguments = _parse(argv)

    def images(case: str) -> Sequence[Path]:
        return channel_files(case_folder(arguments.preprocess, arguments.cohort, case), arguments.channels)

    def outputs(case: str) -> dict[str, Path]:
        return {MASK: arguments.out / f"{case}.nii.gz", PROBABILITY: arguments.out / f"{case}.probability.nii.gz"}

    key = f"{file_digest(arguments.checkpoint)} {arguments.step} {arguments.mirroring} {arguments.code}"
    store = Store(arguments.store, key)
    others = [
        one
        for one in filter(None, arguments.batch.split(","))
        if outdated(outputs(one).values(), [arguments.checkpoint, *images(one)])
    ]
    place = segment_batch(store, arguments.case, others, images, segmenting(arguments))
    for name, path in outputs(arguments.case).items():
        with replacing(path) as temporary:
            shutil.copyfile(place / name, temporary)
    store.forget(arguments.case)


if __name__ == "__main__":
    run(main)
