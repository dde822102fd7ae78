"""Trainings of two steps an epoch on a dataset of three heads."""

from pathlib import Path

import torch

from workflow_scripts.finetune import finetune
from workflow_scripts.finetune.finetune import CURVES
from workflow_scripts.finetune.training.settings import FinetuneSettings

SETTINGS = FinetuneSettings(
    epochs=3,
    iterations_per_epoch=2,
    validation_iterations=1,
    learning_rate=0.01,
    momentum=0.99,
    oversample_foreground=0.5,
    encoder=None,
    save_minutes=0,
    compile="auto",
)
CPU = torch.device("cpu")


def train(
    dataset: Path,
    state: Path,
    settings: FinetuneSettings = SETTINGS,
    seed: int = 1,
    encoder: dict | None = None,
    workers: int = 0,
) -> tuple[dict, list[dict]]:
    """Return the best epoch's checkpoint and the rows of the curves but for the times."""
    best, rows = finetune.train(dataset, settings, encoder, seed, state, CPU, workers)
    return best, [{key: row[key] for key in CURVES if key not in ("seconds", "device")} for row in rows]


def same(first: dict, second: dict) -> bool:
    """Whether two checkpoints are of the same epoch with the same weights, bit for bit."""
    ours, theirs = first["network_weights"], second["network_weights"]
    return (
        first["current_epoch"] == second["current_epoch"]
        and ours.keys() == theirs.keys()
        and all(torch.equal(ours[key], theirs[key]) for key in ours)
    )
