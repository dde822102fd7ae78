"""nnU-Net's trainer with the study's settings: a given split, seeds, a pretrained encoder, and states to go on from."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from workflow_scripts.common import seeds
from workflow_scripts.common.compiling import trial_compiles
from workflow_scripts.common.events import Events
from workflow_scripts.common.interruption import Interruption
from workflow_scripts.common.saved_states import States
from workflow_scripts.finetune.training.batches import numbered_batches
from workflow_scripts.finetune.training.finite import require_finite_weights
from workflow_scripts.finetune.training.record import StudyLogger, epoch_rows
from workflow_scripts.finetune.training.settings import FinetuneSettings

log = logging.getLogger(__name__)


ENCODER = "encoder"  # name of the encoder's group of parameters in the optimiser


def with_lesion(share: float, batch_size: int) -> int:
    """Return how many samples of a batch show a lesion for certain: at least this share of them.

    nnU-Net rounds to the nearest: of a third it makes none of one sample, one of three and two of five.

    Examples
    --------
    >>> [with_lesion(0.5, size) for size in (1, 2, 3, 5)]
    [1, 1, 2, 3]
    >>> with_lesion(0.1, 30)
    3
    """
    return math.ceil(share * batch_size - 1e-9)


class StudyTrainer(nnUNetTrainer):
    """`nnUNetTrainer`, told its settings by `configure` before `run_training`.

    Loss, optimiser, schedule, augmentation, sampling and the choice of the best epoch are nnU-Net's (paper 3.5).
    """

    def configure(
        self,
        settings: FinetuneSettings,
        train_keys: Sequence[str],
        validation_keys: Sequence[str],
        seed: int,
        states: States,
        workers: int,
    ) -> None:
        """Set what `initialize` and the epochs read; ``workers`` are the processes that make training batches."""
        self.num_epochs = settings.epochs
        self.num_iterations_per_epoch = settings.iterations_per_epoch
        self.num_val_iterations_per_epoch = settings.validation_iterations
        self.initial_lr = settings.learning_rate
        self.momentum = settings.momentum
        batch = self.configuration_manager.batch_size
        self.oversample_foreground_percent = with_lesion(settings.oversample_foreground, batch) / batch
        self.encoder_training = settings.encoder
        self.save_minutes = settings.save_minutes
        self.compile = settings.compile
        self.save_every = settings.epochs  # so that nnU-Net saves no checkpoint but that of a best epoch
        self.keys = (list(train_keys), list(validation_keys))
        self.seed = seed
        self.states = states
        self.workers = workers
        self.interruption = Interruption()
        self.logger = StudyLogger(self.output_folder, resume=False)
        self.losses: list[float] = []  # of the steps done in the running epoch
        self.seconds = 0.0  # spent in the running epoch before this process began
        self.best: dict[str, Any] = {}
        self.precisions = [self.precision]

    @property
    def bare_network(self) -> torch.nn.Module:
        """The network itself, without the wrapper of ``torch.compile``."""
        return getattr(self.network, "_orig_mod", self.network)

    @property
    def precision(self) -> str:
        """What nnU-Net computes in: float16 with a loss scale on a GPU, else float32."""
        return "float32" if self.grad_scaler is None else "float16"

    @cache  # noqa: B019 - there is one trainer in a process
    def _do_i_compile(self) -> bool:
        """Whether torch compiles network and loss, which is tried first: without a compiler nnU-Net's steps fail."""
        if self.device.type == "cpu":
            return False
        layer = torch.nn.Conv3d(1, 1, 3, device=self.device)
        voxels = torch.ones(1, 1, 4, 4, 4, device=self.device)
        return trial_compiles(lambda: torch.compile(layer)(voxels).sum().backward(), "finetune.compile", self.compile)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Return the study's training and validation keys."""
        return list(self.keys[0]), list(self.keys[1])

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Return nnU-Net's optimiser and schedule with the study's momentum, which nnU-Net fixes at 0.99.

        The encoder is a group of its own, after the rest of the network, whose learning rate is logged.
        """
        optimiser, schedule = super().configure_optimizers()
        (group,) = optimiser.param_groups
        group["momentum"] = self.momentum
        encoder = set(self.bare_network.encoder.parameters())
        rest = [parameter for parameter in group["params"] if parameter not in encoder]
        both = [{**group, "name": name} for name in ("rest", ENCODER)]
        both[0]["params"], both[1]["params"] = rest, [p for p in group["params"] if p in encoder]
        optimiser.param_groups = both
        return optimiser, schedule

    def get_dataloaders(self) -> tuple[Iterator[dict[str, Any]], Iterator[dict[str, Any]]]:
        """Return the batches that are left of nnU-Net's loaders (which `nnunet_folders` keeps in this process)."""
        train, validation = super().get_dataloaders()
        steps, pin = self.num_iterations_per_epoch, self.device.type == "cuda"
        training = range(self.current_epoch * steps + len(self.losses), self.num_epochs * steps)
        validating = (epoch * self.num_val_iterations_per_epoch for epoch in (self.current_epoch, self.num_epochs))
        return (
            numbered_batches(train.data_loader, self.seed, "finetune training batch", training, self.workers, pin),
            numbered_batches(
                validation.data_loader,
                self.seed,
                "finetune validation batch",
                range(*validating),
                (self.workers + 1) // 2,
                pin,
            ),
        )

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's augmentation; its blur chose one of two algorithms by timing them, so runs differed."""
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        for transform in transforms.transforms:
            inner = transform.transform if isinstance(transform, RandomTransform) else transform
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
        return transforms

    def run_training(self) -> None:
        """Train as nnU-Net does, from the newest saved state where there is one.

        Raises `Interrupted` on a scheduler's warning, after the running step and with its state saved; `InputError`
        where a weight is no finite number; and what `States` raises.
        """
        self._resume()
        self.on_train_start()
        past = epoch_rows(self.logger.of_epochs(self.current_epoch))
        with self.interruption, self.states, Events(self.states.folder, past) as events:
            while self.current_epoch < self.num_epochs:
                self.on_epoch_start()
                self._train()
                self._validate()
                self.on_epoch_end()
                events.add(epoch_rows(self.logger.get_checkpoint())[-1])
                self._save_if(self.current_epoch == self.num_epochs or self.states.due(self.save_minutes))
        self.dataloader_train = self.dataloader_val = None  # ends their processes

    def _train(self) -> None:
        self.on_train_epoch_start()
        while len(self.losses) < self.num_iterations_per_epoch:
            self.losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
            self._save_if(self.save_minutes > 0 and self.states.due(self.save_minutes))
        self._require_finite()
        self.on_train_epoch_end([{"loss": np.array(loss, np.float32)} for loss in self.losses])

    def _require_finite(self) -> None:
        require_finite_weights(self.bare_network, self.current_epoch, self.initial_lr)

    def _validate(self) -> None:
        outputs = []
        with torch.no_grad():
            self.on_validation_epoch_start()
            for _ in range(self.num_val_iterations_per_epoch):
                outputs.append(self.validation_step(next(self.dataloader_val)))
                self._save_if(False)
            self.on_validation_epoch_end(outputs)

    def train_step(self, batch: dict) -> dict:
        """Take nnU-Net's step; only a network planned with dropout draws from the global generator."""
        step = self.current_epoch * self.num_iterations_per_epoch + len(self.losses)
        torch.manual_seed(seeds.integer(self.seed, "finetune step", step))
        return super().train_step(batch)

    def on_epoch_start(self) -> None:
        """Note when the epoch began, as if it had not been interrupted."""
        self.logger.log("epoch_start_timestamps", time.time() - self.seconds, self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Start the epoch with the encoder frozen (paper 3.5.1), or at its own learning rate."""
        super().on_train_epoch_start()
        factor = 1.0 if self.encoder_training is None else self.encoder_training.factor(self.current_epoch)
        for parameter in self.bare_network.encoder.parameters():
            parameter.requires_grad_(factor > 0)
        (group,) = (group for group in self.optimizer.param_groups if group["name"] == ENCODER)
        group["lr"] *= factor

    def on_epoch_end(self) -> None:
        """End the epoch as nnU-Net does and log one line."""
        super().on_epoch_end()
        self.losses, self.seconds = [], 0.0
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
        """Keep the weights of an epoch that nnU-Net found the best so far; they are part of every saved state."""
        del filename
        weights = self.bare_network.state_dict()
        self.best = {
            "network_weights": {name: value.detach().to("cpu", copy=True) for name, value in weights.items()},
            "current_epoch": self.current_epoch + 1,
            "_best_ema": self._best_ema,
        }

    def best_checkpoint(self) -> dict[str, Any]:
        """Return the best epoch's checkpoint under nnU-Net's keys, and the precisions it was trained in."""
        return {
            **self.best,
            "trainer_name": nnUNetTrainer.__name__,
            "init_args": self.my_init_kwargs,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            "precisions": self.precisions,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on, the best epoch included, as tensors and plain objects.

        Nothing of a random generator is in it: each batch and each step has a seed of its own.
        """
        starts = self.logger.get_value("epoch_start_timestamps", None)
        return {
            "network": self.bare_network.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "scaler": {} if self.grad_scaler is None else self.grad_scaler.state_dict(),
            "precisions": self.precisions,
            "best": self.best,
            "curves": self.logger.of_epochs(self.current_epoch),
            "losses": self.losses,
            "seconds": time.time() - starts[-1] if len(starts) > self.current_epoch else 0.0,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, maybe on another device.

        A loss scale is only what steps in float16 had: without them the scaler begins anew.
        """
        self.bare_network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimiser"])
        if self.grad_scaler is not None and state["scaler"]:
            self.grad_scaler.load_state_dict(state["scaler"])
        self.precisions = list(state["precisions"])
        if self.precisions[-1] != self.precision:
            log.warning("trained in %s until now, from here on in %s", self.precisions[-1], self.precision)
            self.precisions.append(self.precision)
        self.best = dict(state["best"])
        self._best_ema = self.best.get("_best_ema")
        self.logger.load_checkpoint(dict(state["curves"]))
        self.current_epoch = len(state["curves"]["epoch_end_timestamps"])
        self.losses, self.seconds = list(state["losses"]), state["seconds"]

    def _resume(self) -> None:
        state = self.states.load()
        if state is not None:
            self.load_state_dict(state)
            log.info("continuing in epoch %d after %d of its steps", self.current_epoch + 1, len(self.losses))

    def _save_if(self, due: bool) -> None:
        warned = self.interruption.requested
        if due or warned:
            self._require_finite()
            # The validation of an epoch counts as one step more.
            done = self.current_epoch * (self.num_iterations_per_epoch + 1) + len(self.losses)
            self.states.save(self.state_dict(), done)
        if warned:
            self.states.wait()
            self.interruption.check()

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Keep nnU-Net's messages in its own file."""
        del also_print_to_console
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Draw nothing; the drawing's library is not installed."""

    def _save_debug_information(self) -> None:
        """Write nothing; nnU-Net's file names the machine."""
