"""An epoch of finetuning beside one of stock nnU-Net on the same plan, and what a saved state costs (`make bench`).

Both make their batches in the one process, so that the processor's own time counts all of it on a shared machine.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from tests.finetune import study
from tests.finetune.trainings import CPU, SETTINGS
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.folders import nnunet_folders
from workflow_scripts.common.nnunet.network import build_network
from workflow_scripts.common.nnunet.plans import CONFIGURATION
from workflow_scripts.common.saved_states import States
from workflow_scripts.finetune import finetune, finetune_dataset
from workflow_scripts.finetune.training.trainer import StudyTrainer

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
FEATURES = ["32", "64", "128"]
LONG = replace(SETTINGS, epochs=1, iterations_per_epoch=20, validation_iterations=4)
STEP_BOUND, SAVE_BOUND = 1.02, 0.02
SAVE_MINUTES = 10  # config.yaml
PAPER = [32, 64, 128, 256, 320, 320]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    cases = study.write_study(root, ("train", "train", "validation"))
    with mock.patch.object(study, "FEATURES", FEATURES):
        options = study.dataset_options(root, root / "arm")
    finetune_dataset.main([*options, "--cases", *(f"icoAIS/{case}" for case in cases)])
    return root / "arm"


def processor_seconds(trainer: type[nnUNetTrainer], end: str, train: Callable[[], None]) -> float:
    """Return the processor's seconds from the end of `on_train_start` to the beginning of ``end``, or to the end."""
    marks = []
    start, finish = trainer.on_train_start, getattr(trainer, end)

    def started(self):
        start(self)
        marks.append(time.process_time())

    def finished(self):
        marks.append(time.process_time())
        finish(self)

    with mock.patch.object(trainer, "on_train_start", started), mock.patch.object(trainer, end, finished):
        train()
    return [*marks, time.process_time()][1] - marks[0]


class Stock(nnUNetTrainer):
    """nnU-Net's trainer with nothing changed but the length of an epoch and the split."""

    def do_split(self) -> tuple[list[str], list[str]]:
        return ["icoAIS__I01", "icoAIS__I02"], ["icoAIS__I03"]

    def plot_network_architecture(self) -> None:
        """Needs a library that is not installed."""


def train_stock(dataset: Path, folder: Path) -> None:
    """Train as `finetune.train` does, with the stock trainer."""
    plans, description = read_json(dataset / "plans.json"), read_json(dataset / "dataset.json")
    with nnunet_folders(folder, workers=0):
        finetune._link_dataset(dataset, plans, folder / "preprocessed")
        trainer = Stock({**plans, "continue_training": False}, CONFIGURATION, 0, description, CPU)
        trainer.num_epochs, trainer.num_iterations_per_epoch = LONG.epochs, LONG.iterations_per_epoch
        trainer.num_val_iterations_per_epoch = LONG.validation_iterations
        trainer.run_training()


def bench_epoch_beside_stock_nnunet(dataset, tmp_path):
    """A saved state is part of our time, and a checkpoint of stock's; the first pair warms up."""
    pairs = []
    for number in range(ROUNDS + 1):
        order = (stock_s, ours_s) if number % 2 else (ours_s, stock_s)
        seconds = {run: run(dataset, tmp_path / str(number)) for run in order}
        pairs.append((seconds[stock_s], seconds[ours_s]))
    stock, ours = zip(*pairs[1:], strict=True)
    ratios = [mine / theirs for theirs, mine in pairs[1:]]
    ratio = statistics.median(ratios)
    print(
        f"\nepoch of {LONG.iterations_per_epoch} steps and {LONG.validation_iterations} of validation: stock nnU-Net "
        f"{statistics.median(stock):.2f} s, here {statistics.median(ours):.2f} s of the processor; median ratio of "
        f"{ROUNDS} pairs {ratio:.3f}, {min(ratios):.3f} to {max(ratios):.3f} (bound {STEP_BOUND})"
    )


def stock_s(dataset: Path, folder: Path) -> float:
    """Seconds of an epoch of stock nnU-Net."""
    return processor_seconds(Stock, "on_train_end", lambda: train_stock(dataset, folder / "stock"))


def ours_s(dataset: Path, folder: Path) -> float:
    """Seconds of an epoch of ours."""
    return processor_seconds(
        StudyTrainer, "on_train_end", lambda: finetune.train(dataset, LONG, None, 1, folder / "ours", CPU, 0)
    )


def bench_saved_state(dataset, tmp_path):
    """Cost of a state of the paper's network: weights, momentum and the best epoch's weights."""
    plans = read_json(dataset / "plans.json")
    network = plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]
    stages = len(PAPER)
    network |= {"n_stages": stages, "features_per_stage": PAPER, "kernel_sizes": [[3, 3, 3]] * stages}
    network |= {"strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)], "n_conv_per_stage": [2] * stages}
    network["n_conv_per_stage_decoder"] = [2] * (stages - 1)
    weights = build_network(plans, 1, 2, deep_supervision=True).state_dict()
    state = {"network": weights, "optimiser": weights, "best": weights}
    held, all_of_it = [], []
    for step in range(5):
        with States(tmp_path) as states:
            clock, processor = time.perf_counter(), time.process_time()
            states.save(state, step)
            held.append(time.perf_counter() - clock)
        all_of_it.append(time.process_time() - processor)
    size = 3 * sum(value.numel() * value.element_size() for value in weights.values()) / 1e6
    share = statistics.median(all_of_it) / (60 * SAVE_MINUTES)
    print(
        f"\nstate of {size:.0f} MB: the training waits {statistics.median(held):.2f} s, "
        f"{statistics.median(all_of_it):.2f} s of the processor in all; "
        f"every {SAVE_MINUTES} minutes {100 * share:.2f} % (bound {100 * SAVE_BOUND:.0f} %)"
    )
