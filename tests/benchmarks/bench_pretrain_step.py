"""A pretraining step's parts beside plain references, in one run, at the paper's sizes. Run with `make bench`.

On a GPU times are of the clock and the batch is the paper's. On a CPU the batch is small, there is one thread, and
times are the processor's own, so that ratios hold on a machine that others use too.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage

from tests.benchmarks.plain_dino import PlainDino
from tests.benchmarks.plain_loader import plain_views
from tests.workflow import ROOT
from workflow_scripts.common.malloc import keep_freed_memory
from workflow_scripts.common.nnunet.arrays import write_array
from workflow_scripts.pretrain.distributed import ALONE
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.settings import PretrainSettings, parse_settings
from workflow_scripts.pretrain.views.batches import Purpose, Source
from workflow_scripts.pretrain.views.scans import StoredArray, describe_scan

SHAPE, BACKGROUND = (139, 169, 138), -3.0
FEATURES = [32, 64, 128, 256, 320, 320]
STRIDES = [[1, 1, 1], *[[2, 2, 2]] * 4, [1, 2, 2]]
GB = 1e9
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


def studys(batch_size: int, **changes: object) -> PretrainSettings:
    """Return the settings of config.yaml with another batch size."""
    shared = yaml.safe_load((ROOT / "config.yaml").read_text())["pretrain"]
    shared["optimiser"] = shared.pop("optimisers")[shared["preset"]]
    own = {"pretraining": "ALL-SA", "image_set": "ALL", "channels": ["ncct"], "symmetry": True, "seed": 0}
    return parse_settings(shared | own | {"method": "desd", "batch_size": batch_size} | changes)


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
        start = clock(device)
        function()
        times.append(clock(device) - start)
    return statistics.median(times[1:])


def clock(device: torch.device) -> float:
    """Seconds: of the clock when a GPU has done its work, or of this process on the CPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def bench_views(scans, device) -> None:
    """(a) Augmented pairs a second and core, from blosc2 files; the reference has its arrays in memory."""
    settings = studys(64 if device.type == "cuda" else 8)
    arrays, rng = [np.asarray(scan.image[(slice(None),) * 4])[0] for scan in scans], np.random.default_rng(0)
    plain = seconds(
        torch.device("cpu"), lambda: plain_views(arrays[rng.integers(4)], BACKGROUND, settings.patch_size, rng), 24
    )
    print(f"\nloader of batchgenerators, one core: {1 / plain:.1f} pairs/s (reference)")
    places = {
        "never": "read from files",
        "auto": "where they fit: in memory",
        "always": "in half precision on the device",
    }
    for where, place in places.items():
        source = Source(scans, studys(settings.batch_size, images_on_device=where), device, 1, ALONE)
        batches = source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch)
        ours = seconds(device, lambda batches=batches: next(batches)[0].augmented(), 8) / settings.batch_size
        print(f"{place}, batch of {settings.batch_size}, {device}: {1 / ours:.1f} pairs/s, {plain / ours:.1f} times")


def bench_step(scans, device) -> None:
    """(b) and (c): a step beside the plain transcription of DINO, and the share of the step that is data.

    Rules keep the memory that they free (`keep_freed_memory`), which a plain script does not; so the transcription is
    timed both ways.
    """
    settings = studys(64 if device.type == "cuda" else 2)
    sizes, source = settings.projection_head, Source(scans, settings, device, 1, ALONE)
    batches = source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch)
    views = next(batches)[0].augmented()
    encoder = build_encoder(ARCHITECTURE, 1).to(device)
    reference = PlainDino(encoder, sizes.hidden, sizes.bottleneck, sizes.prototypes)
    plain = seconds(device, lambda: reference.step(views), 3)
    keep_freed_memory()
    plain_keeping = seconds(device, lambda: reference.step(views), 3)
    reference = None  # its memory goes
    # Past the epoch in which the last layer is frozen.
    method, number = Distillation(ARCHITECTURE, settings, device), settings.steps_per_epoch
    ours = seconds(device, lambda: method.step([views], number), 3)
    data = seconds(device, lambda: method.inputs(next(batches)), 8)
    where = f"batch of {settings.batch_size}, K = {sizes.prototypes}, {device}"
    print(f"\nplain DINO, {where}: {plain:.2f} s a step (reference), {plain_keeping:.2f} s with freed memory kept")
    print(f"this step, same batch: {ours:.2f} s, {plain / ours:.2f} and {plain_keeping / ours:.2f} times")
    print(f"its data: {data:.2f} s, {100 * data / (data + ours):.0f} % of the whole")


def bench_memory() -> None:
    """(d) An accounting of the step's tensors, the peaks of small steps that it must tell, and the paper's batch."""
    weights, maps, rest = accounting()
    print("\npairs  accounted GB  measured GB (float32, CPU)")
    for pairs in (1, 2):
        command = [sys.executable, "-m", "tests.benchmarks.bench_pretrain_step", str(pairs)]
        peak = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        print(f"{pairs:5}  {(weights + 2 * pairs * (4 * maps + rest)) / GB:12.2f}  {float(peak) / GB:11.2f}")
    paper = weights + 128 * (2 * maps + rest)
    print(f"weights, gradients, AdamW and teacher: {weights / GB:.1f} GB")
    print(f"64 pairs, feature maps in 16 bit: {paper / GB:.1f} GB in all, of the 24 GB of the paper's card")


def accounting() -> tuple[float, float, float]:
    """Return bytes that do not depend on the batch, feature-map values a view, and other bytes a view.

    Of each of a stage's two convolutions its output and the activation of that are kept. Three of the largest maps
    come on top while their gradients are on the way. Otherwise a view has logits and probabilities of the teacher, and
    what the augmentation works on.
    """
    settings = studys(64)
    voxels = maps = float(np.prod(settings.patch_size))
    largest = 3 * FEATURES[0] * voxels
    rest = 3 * 4 * settings.projection_head.prototypes + 5 * 4 * voxels
    size = voxels
    for features, stride in zip(FEATURES, STRIDES, strict=True):
        size /= np.prod(stride)
        maps += 2 * 2 * features * size
    method = Distillation(ARCHITECTURE, settings, torch.device("cpu"))
    student = sum(p.numel() for p in method.student.parameters())
    teacher = sum(p.numel() for p in method.teacher.parameters())
    return 4 * (4 * student + teacher), maps + largest, rest


def main(pairs: str) -> None:
    """Print by how many bytes a step of a batch raises the most memory that this process has had."""
    torch.set_num_threads(1)
    keep_freed_memory()
    settings = replace(studys(64), batch_size=int(pairs), samples_per_epoch=int(pairs))
    before = peak_bytes()
    method = Distillation(ARCHITECTURE, settings, torch.device("cpu"))
    # The first step only makes the optimiser's state: small views do.
    for step, patch in enumerate(((16, 64, 64), settings.patch_size), start=1):
        method.step([torch.randn(2 * int(pairs), 1, *patch)], step)
    print(peak_bytes() - before)


def peak_bytes() -> int:
    """Most memory that this program has had; `getrusage` would tell that of the process that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
