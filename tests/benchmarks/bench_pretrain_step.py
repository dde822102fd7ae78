"""A pretraining step's parts beside plain references, in one run, at the paper's sizes. Run with `make bench`.

On a GPU the steps run there; on a CPU the batch is small and everything has one thread, so figures are per core.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage
from torch import nn

from tests.benchmarks.plain_dino import PlainDino, plain_views
from tests.workflow import ROOT
from workflow_scripts.common.nnunet.arrays import write_array
from workflow_scripts.pretrain.batches import Purpose, Source
from workflow_scripts.pretrain.cohort import StoredArray, describe_scan
from workflow_scripts.pretrain.ranks import ALONE
from workflow_scripts.pretrain.settings import Settings, parse_settings
from workflow_scripts.pretrain.step import Distillation
from workflow_scripts.pretrain.student import build_encoder

SHAPE, BACKGROUND = (139, 169, 138), -3.0
FEATURES = [32, 64, 128, 256, 320, 320]
STRIDES = [[1, 1, 1], *[[2, 2, 2]] * 4, [1, 2, 2]]
GIB = 2**30
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 6,
        "features_per_stage": FEATURES,
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 6,
        "strides": STRIDES,
        "n_conv_per_stage": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def settings(device) -> Settings:
    """Those of config.yaml; on a CPU with a batch of two pairs."""
    shared = yaml.safe_load((ROOT / "config.yaml").read_text())["pretrain"]
    shared["optimiser"] = shared.pop("optimisers")[shared["preset"]]
    own = {"pretraining": "ALL-SA", "image_set": "ALL", "channels": ["ncct"], "symmetry": True, "seed": 0}
    return parse_settings(shared | own | {"method": "desd", "batch_size": 64 if device.type == "cuda" else 2})


@pytest.fixture
def scans(tmp_path):
    """Four heads at 1 mm, stored as rule pretrain_dataset stores them."""
    rng, scans = np.random.default_rng(0), []
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    brain = (grid**2).sum(0) < 0.9
    for number in range(4):
        texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) * 10 + rng.normal(size=SHAPE) * 0.2
        image = np.where(brain, texture, BACKGROUND).astype(np.float32)[None]
        stored = []
        for side, array in (("image", image), ("mirrored", image[..., ::-1])):
            path = tmp_path / f"{side}{number}.b2nd"
            write_array(path, array, [96, 160, 160])
            stored.append(StoredArray(path, array.shape))
        scans.append(describe_scan(str(number), "train", stored[0], brain, stored[1]))
    return scans


def seconds(device: torch.device, function: Callable[[], object], repeats: int) -> float:
    """Median time of a call after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def bench_views(scans, settings, device) -> None:
    """(a) Augmented pairs a second and core, from blosc2 files; the reference has its arrays in memory."""
    arrays, rng = [np.asarray(scan.image[(slice(None),) * 4])[0] for scan in scans], np.random.default_rng(0)
    plain = seconds(device, lambda: plain_views(arrays[rng.integers(4)], BACKGROUND, settings.patch_size, rng), 24)
    count = settings.batch_size
    print(f"\nloader of batchgenerators, one core: {1 / plain:.1f} pairs/s (reference)")
    for where in ("never", "always"):
        batches = Source(scans, with_(settings, images_on_device=where), device, 1, ALONE).batches(
            Purpose.TRAINING, 0, settings.samples_per_epoch
        )
        ours = seconds(device, lambda batches=batches: next(batches)[0].augmented(), 24) / count
        place = "read from files" if where == "never" else f"cut on the device ({device})"
        print(f"views {place}, batch of {count}, {device}: {1 / ours:.1f} pairs/s, {plain / ours:.1f} times")


def bench_step(scans, settings, device) -> None:
    """(b) and (c): a step beside the plain transcription of DINO, and the share of the step that is data."""
    sizes, source = settings.head, Source(scans, settings, device, 1, ALONE)
    batches = source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch)
    views = next(batches)[0].augmented()
    plain = PlainDino(build_encoder(ARCHITECTURE, 1).to(device), sizes.hidden, sizes.bottleneck, sizes.prototypes)
    reference = seconds(device, lambda: plain.step(views), 5)
    del plain
    learner, number = Distillation(ARCHITECTURE, settings, device), settings.steps_per_epoch
    ours = seconds(device, lambda: learner.step([views], number), 5)
    whole = seconds(device, lambda: learner.step(learner.inputs(next(batches)), number), 5)
    pairs = settings.batch_size
    print(f"\nplain DINO, batch of {pairs}, K = {sizes.prototypes}, {device}: {reference:.2f} s a step (reference)")
    print(f"this step, same batch: {ours:.2f} s, {reference / ours:.2f} times")
    print(f"with its data: {whole:.2f} s; data are {100 * (whole - ours) / whole:.0f} % of it")


def bench_memory(settings, tmp_path: Path) -> None:
    """(d) Tensors that a step holds: an accounting, what a small step on the CPU holds, and the paper's batch."""
    settings, device = with_(settings, batch_size=2), torch.device("cpu")
    learner = Distillation(ARCHITECTURE, settings, device)
    voxels = int(np.prod(settings.patch_size))
    held: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    views = torch.randn(4, 1, *settings.patch_size)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        losses, _ = learner._forward(learner.student, [views], 0.04)
    counted, measured = accounted_values(voxels) / 1e6, sum(held.values()) / 4 / len(views) / 1e6
    print(f"\nvalues kept for the backward pass, a view: accounted {counted:.1f} million, held {measured:.1f} million")
    del losses
    parameters = sum(p.numel() for p in learner.student.parameters())
    teacher = sum(p.numel() for p in learner.teacher.parameters())
    fixed = 4 * (4 * parameters + teacher)
    moving = 2 * 128 * measured * 1e6 + 128 * (2 * 4 * settings.head.prototypes + 5 * 4 * voxels)
    print(f"weights, gradients, AdamW and teacher: {fixed / GIB:.1f} GiB")
    print(f"batch of 64 pairs in bf16, with logits of the teacher and augmentation: {moving / GIB:.1f} GiB")
    print(f"in all {(fixed + moving) / GIB:.1f} GiB of the 24 GB of the paper's card")


def accounted_values(voxels: int) -> float:
    """Values kept of a view: of each of the two convolutions of a stage its output and the activation of that."""
    total, size = 0.0, float(voxels)
    for features, stride in zip(FEATURES, STRIDES, strict=True):
        size /= np.prod(stride)
        total += 2 * 2 * features * size
    return total + voxels


def with_(settings: Settings, **changes: object) -> Settings:
    """Return settings with some values changed."""
    return parse_settings(settings.to_mapping() | changes)
