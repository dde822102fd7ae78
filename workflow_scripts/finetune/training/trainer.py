"""nnU-Net's trainer with the study's settings: a given split, seeds, a pretrained encoder, quiet files."""

import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from workflow_scripts.common import seeds
from workflow_scripts.common.files import replacing
from workflow_scripts.common.interruption import Interruption

log = logging.getLogger(__name__)

EMA_KEEP = 0.9  # nnU-Net's


@dataclass(frozen=True)
class FinetuneSettings:
    """What a finetuning may vary; names and units as in config.yaml, section ``finetune``."""

    epochs: int
    iterations_per_epoch: int
    validation_iterations: int
    learning_rate: float
    momentum: float
    oversample_foreground: float
    freeze_encoder_epochs: int
    save_every: int


def smoothed(pseudo_dice: Sequence[float]) -> float:
    """Exponential moving average of the pseudo-Dice, which nnU-Net chooses the best epoch by.

    An epoch whose validation patches hold no lesion, neither true nor predicted, has a pseudo-Dice of NaN. nnU-Net
    would carry the NaN on and never find a better epoch; here such an epoch changes nothing. Before the first number
    the average is 0. Without NaN it is nnU-Net's.
    """
    average = None
    for value in pseudo_dice:
        if not math.isnan(value):
            average = value if average is None else EMA_KEEP * average + (1 - EMA_KEEP) * value
    return 0.0 if average is None else float(average)


class StudyLogger(MetaLogger):
    """nnU-Net's record of a training, with the guarded average and without a plot drawn anew every epoch."""

    def log(self, key: str, value: Any, step: int) -> None:
        """Record a value of an epoch; the average follows the pseudo-Dice."""
        if key != "mean_fg_dice":
            super().log(key, value, step)
            return
        self.local_logger.log(key, float(value), step)
        self.local_logger.log("ema_fg_dice", smoothed(self.get_value(key, None)[: step + 1]), step)

    def plot_progress_png(self, output_folder: str) -> None:
        """Draw nothing: the report plots curves.tsv."""


class StudyTrainer(nnUNetTrainer):
    """`nnUNetTrainer`, told its settings by `configure` before `run_training`.

    Loss, optimiser, schedule, augmentation, sampling and the choice of the best epoch are nnU-Net's (paper 3.5).
    """

    def configure(
        self, settings: FinetuneSettings, train_keys: Sequence[str], validation_keys: Sequence[str], seed: int
    ) -> None:
        """Set what `initialize` and the epochs read; ``seed`` is for the augmentation's own processes."""
        self.num_epochs = settings.epochs
        self.num_iterations_per_epoch = settings.iterations_per_epoch
        self.num_val_iterations_per_epoch = settings.validation_iterations
        self.initial_lr = settings.learning_rate
        self.momentum = settings.momentum
        self.oversample_foreground_percent = settings.oversample_foreground
        self.save_every = settings.save_every
        self.freeze_encoder_epochs = settings.freeze_encoder_epochs
        self.keys = (list(train_keys), list(validation_keys))
        self.seed = seed
        self.random_state: dict[str, Any] | None = None
        self.interruption = Interruption()
        self.logger = StudyLogger(self.output_folder, resume=False)

    @property
    def bare_network(self) -> torch.nn.Module:
        """The network itself, without the wrapper of ``torch.compile``."""
        return getattr(self.network, "_orig_mod", self.network)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Return the study's training and validation keys."""
        return list(self.keys[0]), list(self.keys[1])

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Return nnU-Net's optimiser and schedule with the study's momentum, which nnU-Net fixes at 0.99."""
        optimiser, schedule = super().configure_optimizers()
        for group in optimiser.param_groups:
            group["momentum"] = self.momentum
        return optimiser, schedule

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Return nnU-Net's loaders; its worker processes get seeds, where its own would share one torch state."""
        loaders = super().get_dataloaders()
        for index, loader in enumerate(loaders):
            if isinstance(loader, NonDetMultiThreadedAugmenter):
                loader._finish()
                workers = range(loader.num_processes)
                loader.seeds = [seeds.integer(self.seed, "finetune worker", index, worker) for worker in workers]
        return loaders

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's augmentation; its blur chose one of two algorithms by timing them, so runs differed."""
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        for transform in transforms.transforms:
            inner = transform.transform if isinstance(transform, RandomTransform) else transform
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
        return transforms

    def on_train_start(self) -> None:
        """Start as nnU-Net does; a resumed training then takes up the random state that it was stopped with."""
        super().on_train_start()
        if self.random_state is not None:
            set_random_state(self.random_state)

    def run_training(self) -> None:
        """Train as nnU-Net does; a scheduler's warning ends it, and the last saved epoch is where it goes on."""
        with self.interruption:
            try:
                super().run_training()
            finally:
                for loader in (self.dataloader_train, self.dataloader_val):
                    if isinstance(loader, NonDetMultiThreadedAugmenter):
                        loader._finish()

    def train_step(self, batch: dict) -> dict:
        """Take a step, unless a warning has come: raises `Interrupted`."""
        self.interruption.check()
        return super().train_step(batch)

    def validation_step(self, batch: dict) -> dict:
        """Validate on a batch, unless a warning has come: raises `Interrupted`."""
        self.interruption.check()
        return super().validation_step(batch)

    def on_train_epoch_start(self) -> None:
        """Freeze or free the encoder (paper 3.5.1), then start the epoch."""
        frozen = self.current_epoch < self.freeze_encoder_epochs
        for parameter in self.bare_network.encoder.parameters():
            parameter.requires_grad_(not frozen)
        super().on_train_epoch_start()

    def on_epoch_end(self) -> None:
        """End the epoch as nnU-Net does and log one line."""
        super().on_epoch_end()
        row = epoch_rows(self.logger.get_checkpoint())[-1]
        log.info(
            "epoch %d/%d: training loss %.4f, validation loss %.4f, pseudo-Dice %s (average %.4f), "
            "learning rate %.3g, %.1f s",
            row["epoch"] + 1,
            self.num_epochs,
            row["train_loss"],
            row["validation_loss"],
            "undefined" if row["pseudo_dice"] is None else f"{row['pseudo_dice']:.4f}",
            row["ema_pseudo_dice"],
            row["learning_rate"],
            row["seconds"],
        )

    def save_checkpoint(self, filename: str) -> None:
        """Save nnU-Net's checkpoint whole or not at all, with the random state that a resumed training needs."""
        checkpoint = {
            "network_weights": self.bare_network.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": self.grad_scaler.state_dict() if self.grad_scaler is not None else None,
            "logging": self.logger.get_checkpoint(),
            "_best_ema": self._best_ema,
            "current_epoch": self.current_epoch + 1,
            "init_args": self.my_init_kwargs,
            "trainer_name": nnUNetTrainer.__name__,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            "random_state": get_random_state(),
        }
        with replacing(filename) as temporary:
            torch.save(checkpoint, temporary)

    def resume(self, filename: Path) -> None:
        """Go on from a checkpoint of `save_checkpoint`."""
        self.load_checkpoint(str(filename))
        self.random_state = torch.load(filename, map_location="cpu", weights_only=False)["random_state"]
        log.info("resuming after epoch %d", self.current_epoch)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Keep nnU-Net's messages in its own file."""
        del also_print_to_console
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Draw nothing; the drawing's library is not installed."""

    def _save_debug_information(self) -> None:
        """Write nothing; nnU-Net's file names the machine."""


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; nnU-Net draws from the global generators of all three."""
    random.seed(seed)
    np.random.set_bit_generator(np.random.MT19937(seed))
    torch.manual_seed(seed)


def get_random_state() -> dict[str, Any]:
    """Return the state of the global random generators."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_bit_generator().state,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the global random generators into a state of `get_random_state`."""
    random.setstate(state["python"])
    np.random.get_bit_generator().state = state["numpy"]
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def epoch_rows(logging_lists: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Turn nnU-Net's record into the rows of ``curves.tsv``; an undefined pseudo-Dice is None."""
    columns = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice", "lrs")
    starts, ends = logging_lists["epoch_start_timestamps"], logging_lists["epoch_end_timestamps"]
    rows = []
    for epoch, end in enumerate(ends):
        train, validation, dice, average, rate = (float(logging_lists[column][epoch]) for column in columns)
        rows.append(
            {
                "epoch": epoch,
                "train_loss": train,
                "validation_loss": validation,
                "pseudo_dice": None if math.isnan(dice) else dice,
                "ema_pseudo_dice": average,
                "learning_rate": rate,
                "seconds": end - starts[epoch],
            }
        )
    return rows
