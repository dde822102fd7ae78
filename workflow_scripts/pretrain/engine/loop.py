"""The training loop: epochs, monitors and the state between them."""

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.common import seeds
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.events import Events
from workflow_scripts.common.interruption import Interrupted, Interruption
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain.distributed import ALONE, Processes
from workflow_scripts.pretrain.engine.finite import as_losses, require_finite_losses, require_finite_state
from workflow_scripts.pretrain.engine.fitting_batch import step_within_memory
from workflow_scripts.pretrain.methods.method import Method, make_method, start_from
from workflow_scripts.pretrain.methods.monitors import rankme, sound_alarm
from workflow_scripts.pretrain.methods.networks import bytes_of_step, check_patch
from workflow_scripts.pretrain.methods.schedules import values_at
from workflow_scripts.pretrain.settings import PATCH_KEYS, PretrainSettings
from workflow_scripts.pretrain.views.ahead import prepared
from workflow_scripts.pretrain.views.batches import Purpose, Source
from workflow_scripts.pretrain.views.scans import Cohort, require_channels

log = logging.getLogger(__name__)

FINITE_CHECK_STEPS = 25

Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """The encoder after the last epoch (paper 3.4.2) and one row an epoch of each table."""

    encoder: nn.Module
    curves: list[Row]
    rankme: list[Row]


@dataclass
class Progress:
    """How far a training has come: a row of each table for every finished epoch, and the steps of the running one.

    Attributes
    ----------
    losses
        what each step done in the running epoch returned, shape (N,)
    seconds
        time spent in the running epoch
    """

    curves: list[Row] = field(default_factory=list)
    rankme: list[Row] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Number of the running epoch."""
        return len(self.curves)

    def close_epoch(self, curves: Row, rankme: Row) -> None:
        """Note an epoch's rows and begin the next one."""
        self.curves.append({"epoch": self.epoch} | curves | {"seconds": self.seconds})
        self.rankme.append({"epoch": self.curves[-1]["epoch"]} | rankme)
        self.losses, self.seconds = [], 0.0


def pretrain(
    cohort: Cohort,
    architecture: Mapping[str, Any],
    settings: PretrainSettings,
    device: torch.device,
    threads: int,
    states: States,
    processes: Processes = ALONE,
    initial: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train from the state left by an earlier run, or else from ``initial`` weights of the encoder, or from fresh ones.

    Gradients come from the scans of ``settings.splits`` only. Scans of the split ``validation`` give the validation
    loss, empty where there are none; where that split is also trained on, the loss is of images that were seen.
    ``architecture`` is the entry of this name of nnU-Net's plans; a method that builds an encoder of its own may be
    given an empty one.

    Raises `InputError` when no scan is in the splits, initial weights do not fit, a patch is too small for the strides,
    the batch cannot be shared, the loss or a weight is no number, the training collapses, memory does not suffice, or
    the state cannot be saved; `Interrupted` on a scheduler's warning to this process or another one of the training.
    """
    scans = cohort.of_splits(settings.splits)
    if not scans:
        raise InputError(f"No case is in splits {list(settings.splits)}.", "change pretrain.splits or the split.")
    for scan in cohort.scans:
        require_channels(scan, len(settings.channels))
    if architecture:
        for key, patch in zip(PATCH_KEYS, settings.patch_sizes, strict=False):
            check_patch(architecture, patch, key)
    if settings.batch_size % processes.size:
        raise InputError(
            f"batch_size {settings.batch_size} cannot be shared by {processes.size} processes.",
            "change pretrain.batch_size or resources.pretrain.gpu.",
        )
    torch.manual_seed(seeds.integer(settings.seed, "pretrain network"))
    method = make_method(settings, architecture, device, processes)
    step_bytes = bytes_of_step(architecture, settings) if architecture else 0
    if initial is not None:
        start_from(method, initial)
    training = Source(scans, settings, device, threads, processes, step_bytes)
    seen = cohort.of_splits(["validation"])
    validation = Source(seen, settings, device, threads, processes, step_bytes) if seen else None
    log.info("%s: %d training and %d validation images, %s", settings.method, len(scans), len(seen), device)
    if settings.rankme_samples < settings.projection_head.bottleneck:
        log.info("RankMe cannot exceed rankme_samples, %d", settings.rankme_samples)
    progress = _resume(method, processes.from_first(states.load), device)
    saver = Saver(method, progress, states, settings, processes)
    past = [curves | rankme for curves, rankme in zip(progress.curves, progress.rankme, strict=True)]
    shown = Events(states.folder, past) if processes.first else nullcontext()
    with Interruption() as interruption, states, shown as events:
        while progress.epoch < settings.epochs:
            stopped = train_epoch(method, training, settings, progress, interruption, processes, saver)
            if not stopped:
                _measure(method, training, validation, settings, progress, processes)
                if events is not None:
                    events.add(progress.curves[-1] | progress.rankme[-1])
                sound_alarm(progress.curves, settings.alarm)
                stopped = processes.any(interruption.requested)
            if stopped or progress.epoch == settings.epochs or saver.due:
                saver.save()
            if stopped:
                states.wait()
                processes.wait()
                interruption.check()
                raise Interrupted("Ended early with another process of this training.")
    return Trained(method.encoder, progress.curves, progress.rankme)


class Saver:
    """Saves the state of a training by the clock, in the first of its processes."""

    def __init__(
        self, method: Method, progress: Progress, states: States, settings: PretrainSettings, processes: Processes
    ) -> None:
        self._method = method
        self._progress = progress
        self._states = states
        self._settings = settings
        self._processes = processes

    @property
    def due(self) -> bool:
        """Whether the time between two saved states has passed."""
        return self._states.due(self._settings.save_minutes)

    def save(self) -> None:
        """Save the present state, in the background; raises `InputError` where a weight is no number."""
        if not self._processes.first:
            return
        step = self._progress.epoch * self._settings.steps_per_epoch + len(self._progress.losses)
        state = {"method": self._method.state_dict(), "progress": asdict(self._progress)}
        require_finite_state(state["method"], step - 1, self._settings)
        self._states.save(state, step)


def train_epoch(
    method: Method,
    source: Source,
    settings: PretrainSettings,
    progress: Progress,
    interruption: Interruption,
    processes: Processes,
    saver: Saver,
) -> bool:
    """Run the steps of the running epoch that are not done yet; a long epoch is saved in between.

    Ends after a whole step when a warning came to any process; returns whether it did.
    """
    epoch, started, stopped = progress.epoch, time.perf_counter(), False
    first, done = epoch * settings.steps_per_epoch, len(progress.losses)
    batches = source.batches(Purpose.TRAINING, epoch, settings.samples_per_epoch, done)
    pairs = prepared(batches, method.inputs, source.device)
    for step, (batch, inputs) in enumerate(pairs, start=first + done):
        # Views have streams of their own; only a network planned with dropout draws from the global generator.
        torch.manual_seed(seeds.integer(settings.seed, "pretrain step", step))
        losses = step_within_memory(method, batch, inputs, step, settings, processes)
        progress.losses.append(as_losses(losses, settings.method))
        if len(progress.losses) % FINITE_CHECK_STEPS == 0:
            require_finite_losses(progress.losses, first, settings)
        if settings.save_minutes and saver.due:
            saver.save()
        stopped = processes.any(interruption.requested)
        if stopped:
            break
    require_finite_losses(progress.losses, first, settings)
    progress.seconds += time.perf_counter() - started
    return stopped


def validate(
    method: Method, source: Source | None, settings: PretrainSettings, step: int, losses: int, processes: Processes
) -> Row:
    """Return the mean of all ``losses`` on the same pairs each epoch; None in every column without scans."""
    if source is None:
        return dict.fromkeys(_loss_columns("validation", torch.full((losses,), torch.nan)))
    total, images = torch.zeros(losses, dtype=torch.float64), torch.tensor(0)
    for batch in source.batches(Purpose.VALIDATION, 0, settings.validation_samples):
        if count := len(batch[0].plain):
            total += method.evaluate(method.inputs(batch), step).cpu() * count
            images += count
    return _loss_columns("validation", processes.sum(total) / processes.sum(images))


def measure_embeddings(
    method: Method, source: Source, settings: PretrainSettings, step: int, processes: Processes
) -> tuple[Row, Row]:
    """Return the method's monitors, and RankMe as published and centred, on the same plain views each epoch."""
    batches = source.batches(Purpose.RANKME, 0, settings.rankme_samples)
    embeddings = processes.rows(torch.cat([method.embed(batch) for batch in batches if len(batch[0].plain)]))
    rank = {
        "rankme": rankme(embeddings, centred=False),
        "rankme_centred": rankme(embeddings, centred=True),
        "samples": len(embeddings),
    }
    return method.measure(embeddings, step), rank


def _measure(
    method: Method,
    training: Source,
    validation: Source | None,
    settings: PretrainSettings,
    progress: Progress,
    processes: Processes,
) -> None:
    """Close an epoch whose steps are done: mean losses, the last step's values, validation and monitors."""
    started, last = time.perf_counter(), (progress.epoch + 1) * settings.steps_per_epoch - 1
    losses, values = torch.stack(progress.losses).mean(0), values_at(settings, last)
    monitors, rank = measure_embeddings(method, training, settings, last, processes)
    row = {
        **_loss_columns("train", losses),
        **validate(method, validation, settings, last, len(losses), processes),
        "learning_rate": values.learning_rate,
        "weight_decay": values.weight_decay,
        **monitors,
        "images_per_second": settings.samples_per_epoch / progress.seconds,
    }
    progress.seconds += time.perf_counter() - started
    progress.close_epoch(row, rank)
    _report(progress.curves[-1], rank, settings.epochs)


def _resume(method: Method, left: Mapping[str, Any] | None, device: torch.device) -> Progress:
    if left is None:
        return Progress()
    method.load_state_dict(left["method"])
    progress = Progress(**left["progress"])
    progress.losses = [losses.to(device) for losses in progress.losses]
    log.info("continuing in epoch %d after %d of its steps", progress.epoch + 1, len(progress.losses))
    return progress


def _loss_columns(name: str, losses: Tensor) -> Row:
    stages = {f"{name}_loss_stage{stage}": float(loss) for stage, loss in enumerate(losses, start=1)}
    return {f"{name}_loss": float(losses.mean()), **(stages if len(stages) > 1 else {})}


def _report(row: Row, rank: Row, epochs: int) -> None:
    validation = "none" if row["validation_loss"] is None else f"{row['validation_loss']:.4f}"
    log.info(
        "epoch %d of %d: train loss %.4f, validation loss %s, feature deviation %s, RankMe %.1f, "
        "learning rate %.2e, %.1f images/s, %.1f s",
        row["epoch"] + 1,
        epochs,
        row["train_loss"],
        validation,
        f"{row['feature_deviation']:.3f}" if "feature_deviation" in row else "not measured",
        rank["rankme"],
        row["learning_rate"],
        row["images_per_second"],
        row["seconds"],
    )
