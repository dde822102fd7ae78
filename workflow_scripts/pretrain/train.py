"""The training loop: epochs, monitors and the state between them."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.interruption import Interruption
from workflow_scripts.pretrain.batches import Purpose, batches
from workflow_scripts.pretrain.cohort import Cohort, Scan
from workflow_scripts.pretrain.memory import step_within_memory
from workflow_scripts.pretrain.monitors import rankme
from workflow_scripts.pretrain.schedules import values_at
from workflow_scripts.pretrain.settings import Settings
from workflow_scripts.pretrain.state import States
from workflow_scripts.pretrain.step import Distillation
from workflow_scripts.pretrain.student import build_encoder, check_patch

log = logging.getLogger(__name__)

FINITE_CHECK_STEPS = 25

Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """The teacher's encoder after the last epoch (paper 3.4.2) and one row an epoch of each table."""

    encoder: nn.Module
    curves: list[Row]
    rankme: list[Row]


@dataclass
class Progress:
    """How far a training has come: a row of each table for every finished epoch, and the steps of the running one.

    Attributes
    ----------
    losses, entropies
        what each step done in the running epoch returned: losses of the N stages, shape (N,), and the mean entropy
    seconds
        time spent in the running epoch
    """

    curves: list[Row] = field(default_factory=list)
    rankme: list[Row] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    entropies: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Number of the running epoch."""
        return len(self.curves)

    def close_epoch(self, curves: Row, rankme: Row) -> None:
        """Note an epoch's rows and begin the next one."""
        self.curves.append({"epoch": self.epoch} | curves | {"seconds": self.seconds})
        self.rankme.append({"epoch": self.curves[-1]["epoch"]} | rankme)
        self.losses, self.entropies, self.seconds = [], [], 0.0


def pretrain(
    cohort: Cohort,
    architecture: Mapping[str, Any],
    settings: Settings,
    device: torch.device,
    threads: int,
    states: States,
) -> Trained:
    """Train from the state left by an earlier run, or from fresh weights.

    Gradients come from the scans of ``settings.splits`` only. Scans of the split ``validation`` give the validation
    loss, empty where there are none; where that split is also trained on, the loss is of images that were seen.

    Raises `InputError` when no scan is in the splits, a patch is too small for the strides, the loss or a weight is no
    number, memory does not suffice, or the state cannot be saved; `Interrupted` on a scheduler's warning.
    """
    training, validation = cohort.of_splits(settings.splits), cohort.of_splits(["validation"])
    if not training:
        raise InputError(f"No case is in splits {list(settings.splits)}.", "change pretrain.splits or the split.")
    check_patch(architecture, settings.patch_size)
    torch.manual_seed(settings.seed)
    learner = Distillation(build_encoder(architecture, len(settings.channels)), settings, device)
    log.info("%d training and %d validation images, %s", len(training), len(validation), device)
    if settings.rankme_samples < settings.head.bottleneck:
        log.info("RankMe cannot exceed rankme_samples, %d", settings.rankme_samples)
    progress = _resume(learner, states)
    with Interruption() as interruption:
        while progress.epoch < settings.epochs:
            train_epoch(learner, training, progress, threads, interruption)
            if not interruption.requested:
                _measure(learner, training, validation, progress, threads)
            _save(learner, progress, states)
            interruption.check()
    return Trained(learner.teacher.encoder, progress.curves, progress.rankme)


def train_epoch(
    learner: Distillation, scans: Sequence[Scan], progress: Progress, threads: int, interruption: Interruption
) -> None:
    """Run the steps of the running epoch that are not done yet; ends early, after a whole step, on a warning."""
    settings, epoch, started = learner.settings, progress.epoch, time.perf_counter()
    frozen = epoch < settings.optimiser.frozen_last_layer_epochs
    first, done = epoch * settings.steps_per_epoch, len(progress.losses)
    source = batches(scans, settings, Purpose.TRAINING, epoch, settings.samples_per_epoch, threads, done)
    for step, batch in enumerate(source, start=first + done):
        # Views have streams of their own; only a network planned with dropout draws from the global generator.
        torch.manual_seed(settings.seed + step)
        loss, entropy = step_within_memory(learner, batch, values_at(settings, step), frozen)
        progress.losses.append(loss)
        progress.entropies.append(entropy)
        if len(progress.losses) % FINITE_CHECK_STEPS == 0:
            _require_finite(progress.losses, first, settings)
        if interruption.requested:
            break
    _require_finite(progress.losses, first, settings)
    progress.seconds += time.perf_counter() - started


def validate(learner: Distillation, scans: Sequence[Scan], teacher_temperature: float, threads: int) -> Row:
    """Return the mean losses on the same augmented pairs each epoch; None in every column without scans."""
    settings = learner.settings
    if not scans:
        empty = torch.full((len(learner.student.heads),), torch.nan)
        return dict.fromkeys(_loss_columns("validation", empty))
    total, count = torch.zeros(len(learner.student.heads), device=learner.device), 0
    for batch in batches(scans, settings, Purpose.VALIDATION, 0, settings.validation_samples, threads):
        total += learner.evaluate(batch.augmented(learner.device), teacher_temperature) * len(batch.views)
        count += len(batch.views)
    return _loss_columns("validation", total / count)


def measure_rank(learner: Distillation, scans: Sequence[Scan], threads: int) -> Row:
    """Return RankMe, as published and centred, of the teacher on the same unaugmented views each epoch."""
    settings = learner.settings
    source = batches(scans, settings, Purpose.RANKME, 0, settings.rankme_samples, threads)
    embeddings = torch.cat([learner.embed(batch.plain(learner.device)) for batch in source]).cpu()
    return {
        "rankme": rankme(embeddings, centred=False),
        "rankme_centred": rankme(embeddings, centred=True),
        "samples": len(embeddings),
    }


def _measure(
    learner: Distillation, training: Sequence[Scan], validation: Sequence[Scan], progress: Progress, threads: int
) -> None:
    """Close an epoch whose steps are done: mean losses and entropy, the last step's values, validation and RankMe."""
    settings, started = learner.settings, time.perf_counter()
    values = values_at(settings, (progress.epoch + 1) * settings.steps_per_epoch - 1)
    row = {
        **_loss_columns("train", torch.stack(progress.losses).mean(0)),
        "learning_rate": values.learning_rate,
        "weight_decay": values.weight_decay,
        "teacher_momentum": values.teacher_momentum,
        "teacher_temperature": values.teacher_temperature,
        "teacher_entropy": float(torch.stack(progress.entropies).mean()),
        **validate(learner, validation, values.teacher_temperature, threads),
    }
    rank = measure_rank(learner, training, threads)
    progress.seconds += time.perf_counter() - started
    progress.close_epoch(row, rank)
    _report(progress.curves[-1], rank, settings.epochs)


def _resume(learner: Distillation, states: States) -> Progress:
    left = states.load()
    if left is None:
        return Progress()
    learner.load_state_dict(left["learner"])
    progress = Progress(**left["progress"])
    for values in (progress.losses, progress.entropies):
        values[:] = [value.to(learner.device) for value in values]
    log.info("continuing in epoch %d after %d of its steps", progress.epoch + 1, len(progress.losses))
    return progress


def _save(learner: Distillation, progress: Progress, states: States) -> None:
    settings, step = learner.settings, progress.epoch * learner.settings.steps_per_epoch + len(progress.losses)
    state = {"learner": learner.state_dict(), "progress": asdict(progress)}
    # A gradient that overflows in the last step shows in no loss yet.
    if not all(tensor.isfinite().all() for tensor in _tensors(state["learner"])):
        raise _divergence("A weight", step - 1, settings)
    states.save(state, step)


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping | list | tuple):
        for branch in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _tensors(branch)


def _loss_columns(name: str, losses: Tensor) -> Row:
    stages = {f"{name}_loss_stage{stage}": float(loss) for stage, loss in enumerate(losses, start=1)}
    return {f"{name}_loss": float(losses.mean()), **stages}


def _require_finite(losses: Sequence[Tensor], first: int, settings: Settings) -> None:
    """Checked every few steps, since looking at a value makes the host wait for the device."""
    finite = torch.stack(list(losses)).isfinite().all(1).cpu()
    if not finite.all():
        raise _divergence("The loss", first + int(finite.logical_not().nonzero()[0]), settings)


def _divergence(what: str, step: int, settings: Settings) -> InputError:
    return InputError(
        f"{what} is no finite number at step {step} (epoch {step // settings.steps_per_epoch}) with learning "
        f"rate {values_at(settings, step).learning_rate:.3g}.",
        "lower pretrain.optimiser.learning_rate or set clip_gradient; the state before is kept.",
    )


def _report(row: Row, rank: Row, epochs: int) -> None:
    validation = "none" if row["validation_loss"] is None else f"{row['validation_loss']:.4f}"
    log.info(
        "epoch %d of %d: train loss %.4f, validation loss %s, teacher entropy %.3f, RankMe %.1f, "
        "learning rate %.2e, %.1f s",
        row["epoch"] + 1,
        epochs,
        row["train_loss"],
        validation,
        row["teacher_entropy"],
        rank["rankme"],
        row["learning_rate"],
        row["seconds"],
    )
