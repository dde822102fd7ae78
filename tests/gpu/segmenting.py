"""Finetuning and segmentation with nnU-Net's own code, through the scripts of the rules; and masked autoencoding."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from tests.gpu.conditions import ROOT, STEP, Conditions
from tests.gpu.speed import a_batch
from tests.gpu.stand_ins import MISSING
from tests.gpu.table import Table, fresh_memory, milliseconds, peak_gb
from workflow_scripts.common.files import read_tsv, write_tsv, write_yaml
from workflow_scripts.common.volume import Volume, save_volume

COHORT = "A"
EPOCHS = 2


def mae(conditions: Conditions, table: Table) -> None:
    """Steps of masked autoencoding, with torch's kernels and ours."""
    if "nnunetv2" in MISSING:
        return table.add("masked autoencoding", "left out: it needs nnU-Net")
    from workflow_scripts.pretrain.methods.mae import Reconstruction

    batch = a_batch(conditions, conditions.settings(images_on_device="always"))
    for name, changes in {"torch's kernels": {"compile": "never"}, "ours": {}}.items():
        fresh_memory()
        torch.manual_seed(0)
        method = Reconstruction(
            conditions.architecture, conditions.settings(method="mae", **changes), conditions.device
        )
        inputs, losses = method.inputs([batch]), []
        ms = milliseconds(lambda m=method, i=inputs, kept=losses: kept.append(m.step(i, STEP)), conditions.repeats, 3)
        remark = f"loss {float(losses[0]):.3f} to {float(losses[-1]):.3f}, peak {peak_gb():.1f} GB"
        table.add(f"ms of a step of masked autoencoding, {name}", ms, remark)
        del method
    return None


def segmenting(conditions: Conditions, table: Table) -> None:
    """Finetune by the rule's script, twice, once of them interrupted; then segment a head with three models."""
    if "nnunetv2" in MISSING:
        return table.add("finetuning and segmentation", "left out: they need nnU-Net")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        started = time.perf_counter()
        _write_study(root, conditions)
        table.add("s to prepare the heads and the dataset", time.perf_counter() - started)
        _no_gpu(root, table)
        _finetuning(root, conditions, table)
        _resuming(root, conditions, table)
        _segmentation(root, conditions, table)
        if conditions.gpu:
            _compiled(root, table)
    return None


def _write_study(root: Path, conditions: Conditions) -> None:
    """Heads with a darker ball in them, as final images, and the dataset of an arm on the paper's plans."""
    from workflow_scripts.finetune import finetune_dataset

    splits = ["train"] * 4 + ["validation", "test"]
    shapes = [conditions.head_shape] * 5 + [conditions.test_shape]
    for number, shape in enumerate(shapes):
        rng = np.random.default_rng(number)
        grid = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij", sparse=True)
        brain = sum(axis**2 for axis in grid) < 0.9
        lesion = sum((axis - shift) ** 2 for axis, shift in zip(grid, rng.uniform(-0.4, 0.4, 3), strict=True)) < 0.06
        ncct = np.where(brain, 34 + 4 * rng.standard_normal(shape, np.float32) - 9 * lesion, -100)
        folder = root / "preprocess" / COHORT / f"c{number}"
        images = {"ncct": (ncct, np.float32), "brain": (brain, np.uint8), "lesion": (lesion, np.uint8)}
        for name, (data, kind) in images.items():
            save_volume(folder / f"{name}.nii.gz", Volume(data.astype(kind), np.eye(4)), kind)
    rows = [{"cohort": COHORT, "case": f"c{number}", "split": split} for number, split in enumerate(splits)]
    write_tsv(root / "splits.tsv", rows, ("cohort", "case", "split"))
    features = [] if conditions.gpu else ["--features", "4", "8", "16"]
    finetune_dataset.main(
        [
            *("--splits", str(root / "splits.tsv"), "--preprocess", str(root / "preprocess"), "--channels", "ncct"),
            *("--spacing", "1.0", "--gpu-memory", "8", "--patch-size", *map(str, conditions.finetune_patch)),
            *("--batch-size", "2", *features, "--threads", str(min(6, os.cpu_count() or 1) if conditions.gpu else 1)),
            *("--cases", *(f"{COHORT}/c{number}" for number in range(5)), "--out", str(root / "dataset")),
        ]
    )


def _arguments(root: Path, name: str, conditions: Conditions | None = None) -> list[str]:
    """Command line of the rule `finetune`, with few steps an epoch."""
    gpu = conditions is None or conditions.gpu
    write_yaml(
        root / "settings.yaml",
        {
            "epochs": EPOCHS,
            "iterations_per_epoch": 24 if gpu else 2,
            "validation_iterations": 6 if gpu else 1,
            "learning_rate": 0.01,
            "momentum": 0.99,
            "oversample_foreground": 0.33,
            "encoder": None,
            "save_minutes": 0,
            "compile": "always" if name == "compiled" else "never",
        },
    )
    return [
        *("--settings", str(root / "settings.yaml"), "--dataset", str(root / "dataset"), "--seed", "0"),
        *("--number", "0", "--state", str(root / f"state_{name}"), "--threads", str(os.cpu_count() if gpu else 1)),
        *("--gpus", "1" if gpu else "0", "--out-checkpoint", str(root / f"{name}.pth")),
        *("--out-curves", str(root / f"{name}.tsv")),
    ]


def _no_gpu(root: Path, table: Table) -> None:
    """A job that asked for a GPU and gets none stops at once and says why."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "workflow_scripts.finetune.finetune", *_arguments(root, "none")]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(command, env=hidden, cwd=ROOT, capture_output=True, text=True, check=False)
    said = next((line for line in ended.stderr.splitlines() if "asked for a GPU" in line), ended.stderr[-300:])
    table.add("s until a finetuning without the GPU that it asked for stops", time.perf_counter() - started, said)
    if "asked for a GPU" not in said:
        raise AssertionError(f"it did not stop as it should: exit status {ended.returncode}")


def _finetuning(root: Path, conditions: Conditions, table: Table) -> None:
    from workflow_scripts.finetune import finetune

    fresh_memory()
    started = time.perf_counter()
    with busy_share() as shares:
        finetune.main(_arguments(root, "whole", conditions))
    spent = time.perf_counter() - started
    rows = read_tsv(root / "whole.tsv")
    first, second = (float(row["seconds"]) for row in rows)
    steps = "24 steps and 6 of validation"
    table.add(f"s of a finetuning epoch, {steps}, first", first, f"{spent:.0f} s in all, peak {peak_gb():.1f} GB")
    table.add(f"s of a finetuning epoch, {steps}, second", second, f"of 250 and 50: about {second * 250 / 24:.0f} s")
    if shares:
        table.add("share of a finetuning in which the GPU is busy, %", float(np.mean(shares)), "nvidia-smi's reading")
    losses = ", ".join(f"{float(row['train_loss']):.3f}" for row in rows)
    checkpoint = torch.load(root / "whole.pth", map_location="cpu", weights_only=True)
    table.add("losses of a finetuning's epochs", losses, f"computed in {', '.join(checkpoint['precisions'])}")


def _resuming(root: Path, conditions: Conditions, table: Table) -> None:
    """Interrupted after its first epoch and continued: losses beside those of the one that was not, and the scaler."""
    from workflow_scripts.common.saved_states import States
    from workflow_scripts.finetune import finetune
    from workflow_scripts.finetune.training.trainer import StudyTrainer

    class Stop(Exception):
        pass

    start = StudyTrainer.on_epoch_start

    def stop(trainer: StudyTrainer) -> None:
        if trainer.current_epoch == 1:
            raise Stop
        start(trainer)

    arguments = _arguments(root, "resumed", conditions)
    with mock.patch.object(StudyTrainer, "on_epoch_start", stop), suppress(Stop):
        finetune.main(arguments)
    folder = next((root / "state_resumed").rglob("step-*.pt")).parent
    table.add("scaler in the state of an interrupted finetuning", str(States(folder).load()["scaler"]))
    finetune.main(arguments)
    whole, resumed = (
        [float(row["train_loss"]) for row in read_tsv(root / f"{name}.tsv")] for name in ("whole", "resumed")
    )
    difference = [abs(ours - theirs) for ours, theirs in zip(resumed, whole, strict=True)]
    remark = f"{difference[0]:.2g} in the first, which both computed undisturbed"
    table.add("difference of a finetuning's loss in the second epoch, resumed", difference[1], remark)


def _compiled(root: Path, table: Table) -> None:
    """As nnU-Net does by itself on a GPU: its network compiled by torch."""
    from workflow_scripts.finetune import finetune

    fresh_memory()
    finetune.main(_arguments(root, "compiled"))
    first, second = (float(row["seconds"]) for row in read_tsv(root / "compiled.tsv"))
    table.add("s of a finetuning epoch, torch.compile, second", second, f"first {first:.1f} s, peak {peak_gb():.1f} GB")


def _segmentation(root: Path, conditions: Conditions, table: Table) -> None:
    from workflow_scripts.common.nnunet import predict
    from workflow_scripts.common.nnunet.network import read_checkpoint
    from workflow_scripts.segment import segment

    fresh_memory()
    threads = os.cpu_count() or 1 if conditions.gpu else 1
    options = [
        *("--preprocess", str(root / "preprocess")),
        *("--cohort", COHORT, "--case", "c5", "--channels", "ncct"),
    ]
    times = []
    for model in range(3):
        started = time.perf_counter()
        segment.main(
            [
                *("--checkpoint", str(root / "whole.pth"), *options, "--step", "0.5", "--mirroring"),
                *("--threads", str(threads), "--gpus", "1" if conditions.gpu else "0"),
                *("--store", str(root / f"store{model}"), "--out", str(root / f"masks{model}")),
            ]
        )
        times.append(time.perf_counter() - started)
    shape = " x ".join(map(str, conditions.test_shape))
    each = ", ".join(f"{seconds:.1f}" for seconds in times)
    table.add(f"s to segment a head of {shape} with three models", sum(times), f"{each}; peak {peak_gb():.1f} GB")
    files = [root / "preprocess" / COHORT / "c0" / "ncct.nii.gz"]
    checkpoint, found = read_checkpoint(root / "whole.pth"), {}
    torch.set_num_threads(threads)
    whole = mock.patch("torch.autocast", lambda *_, **__: nullcontext())
    for name, device, precision in (
        ("float32 on the CPU", torch.device("cpu"), nullcontext()),
        ("float16", conditions.device, nullcontext()),
        ("float32 (TF32 convolutions)", conditions.device, whole),
    ):
        segmenter = predict.Segmenter(checkpoint, 0.5, False, device)
        with precision:
            started = time.perf_counter()
            found[name] = segmenter(files)
            table.add(f"s to segment a smaller head without mirroring, {name}", time.perf_counter() - started)
    mask, probability = found.pop("float32 on the CPU")
    for name, (other, values) in found.items():
        both = mask.sum() + other.sum()
        dice = 2 * (mask & other).sum() / both if both else 1.0
        largest = float(np.abs(values - probability).max())
        table.add(f"largest difference of probabilities from the CPU's, {name}", largest, f"Dice of masks {dice:.5f}")


@contextmanager
def busy_share(every_s: float = 0.2) -> Iterator[list[float]]:
    """What the driver says of how busy the GPU is, in per cent, while the block runs."""
    readings: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            readings.append(float(torch.cuda.utilization()))

    if torch.cuda.is_available():
        try:
            torch.cuda.utilization()
        except (ModuleNotFoundError, RuntimeError):
            yield readings
            return
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield readings
    finally:
        ended.set()
