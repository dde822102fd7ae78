"""Our segmenter beside stock nnU-Net's predictor on the CPU: the same model, the same files (`make bench`)."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.finetune.study import AFFINE
from tests.segment.exported import export
from tests.segment.test_segment_export import stock_predictor, stock_segmentation
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.segment.model import folder as layout

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
CASES, SHAPE = 2, (30, 34, 26)  # several positions of the window
BOUND = 1.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    paths = [tmp_path_factory.mktemp("images") / f"{number}.nii.gz" for number in range(CASES)]
    for number, path in enumerate(paths):
        head = 32 + np.random.default_rng(number).normal(0, 3, SHAPE)
        save_volume(path, Volume(head, AFFINE), np.float32)
    return paths


def timed(segment: Callable[[Path], np.ndarray], images: list[Path]) -> tuple[float, list[np.ndarray]]:
    """Return the processor's seconds for all images, and their masks."""
    start = time.process_time()
    masks = [segment(image) for image in images]
    return time.process_time() - start, masks


@pytest.mark.parametrize("mirroring", [False, True], ids=["plain", "mirrored"])
def bench_segmenter_beside_stock_nnunet(model, images, mirroring):
    """Both give the probabilities too, which stock leaves out unless asked; the first pair warms up."""
    path = layout.checkpoints(model, layout.check_model(model))[0]
    segmenter = Segmenter(read_checkpoint(path), 0.5, mirroring, torch.device("cpu"))
    predictor = stock_predictor(model, 0, mirroring)
    sides = {
        "ours": lambda image: segmenter([image])[0],
        "stock": lambda image: stock_segmentation(predictor, image),
    }
    pairs, differing = [], 0
    for number in range(ROUNDS + 1):
        order = ("stock", "ours") if number % 2 else ("ours", "stock")
        found = {side: timed(sides[side], images) for side in order}
        pairs.append({side: found[side][0] for side in order})
        masks = zip(found["ours"][1], found["stock"][1], strict=True)
        differing += sum(np.count_nonzero(mine != theirs) for mine, theirs in masks)
    ratios = [pair["ours"] / pair["stock"] for pair in pairs[1:]]
    ratio = statistics.median(ratios)
    medians = {side: statistics.median(pair[side] for pair in pairs[1:]) for side in sides}
    print(
        f"\n{CASES} cases: stock nnU-Net {medians['stock']:.2f} s, here {medians['ours']:.2f} s of the processor; "
        f"median ratio of {ROUNDS} pairs {ratio:.3f}, {min(ratios):.3f} to {max(ratios):.3f} (bound {BOUND}); "
        f"{differing} voxels differ"
    )
    assert not differing
