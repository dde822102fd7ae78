"""Deep self-distillation (DeSD, paper 3.4): one optimiser step, and the state it changes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.pretrain.distributed import ALONE, Processes
from workflow_scripts.pretrain.methods.channels_last import for_training
from workflow_scripts.pretrain.methods.loss import stage_losses, teacher_probabilities, updated_centre
from workflow_scripts.pretrain.methods.monitors import Assignment, feature_deviation
from workflow_scripts.pretrain.methods.networks import Student, Teacher, build_encoder
from workflow_scripts.pretrain.methods.optimiser import MixedPrecisionAdamW, parallel
from workflow_scripts.pretrain.methods.schedules import values_at
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.batches import Batch

EMBEDDINGS_AT_ONCE = 256


class Distillation:
    """Student, teacher, centre and optimiser of one pretraining.

    Student and teacher both normalise by the batch while training, so each has running statistics of its own; outside
    `step` both are in evaluation mode and nothing of them changes.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        settings: PretrainSettings,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        student = Student(
            build_encoder(architecture, len(settings.channels)), settings.projection_head, settings.accumulate
        )
        self.student = for_training(student, device, settings.compile).eval()
        self.teacher = Teacher(self.student).eval()
        self.centre = torch.zeros(settings.projection_head.prototypes, device=device)
        self._settings = settings
        self._processes = processes
        self._optimiser = MixedPrecisionAdamW(self.student, settings, device)
        self._network = parallel(self.student, device, processes.size)

    @property
    def encoder(self) -> nn.Module:
        """The encoder that is kept: the teacher's (paper 3.4.2)."""
        return self.teacher.encoder

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights into the encoders of student and teacher; the heads stay as they are."""
        for network in (self.student, self.teacher):
            network.encoder.load_state_dict(weights)

    def inputs(self, batch: Batch) -> list[Tensor]:
        """Return the augmented views (V, C, z, y, x): the pairs, first views first, and the local views if any."""
        return [views.augmented() for views in batch]

    def step(self, views: list[Tensor], step: int) -> Tensor:
        """Learn from a batch of `inputs` at a step of the schedules; returns the losses of the N stages, shape (N,)."""
        values = values_at(self._settings, step)
        frozen = self._settings.epoch_of(step) < self._settings.optimiser.frozen_last_layer_epochs
        self.student.train()
        self.teacher.train()
        losses, mean_logits = self._forward(self._network, views, values.teacher_temperature)
        prototypes = [head.prototypes for head in self.student.heads]
        self._optimiser.step(losses.mean(), values, prototypes if frozen else ())
        self.student.eval()
        self.teacher.eval()
        self.teacher.follow(self.student, values.teacher_momentum)
        mean_logits = self._processes.mean(mean_logits)
        self.centre = updated_centre(self.centre, mean_logits, self._settings.centre_momentum)
        return self._processes.mean(losses.detach())

    @torch.no_grad()
    def evaluate(self, views: list[Tensor], step: int) -> Tensor:
        """Return the losses of the N stages as in `step`; changes neither weights, statistics nor centre."""
        return self._forward(self.student, views, values_at(self._settings, step).teacher_temperature)[0]

    @torch.no_grad()
    def embed(self, batch: Batch) -> Tensor:
        """Return the output of the teacher's MLP, (V, bottleneck), of which RankMe is computed (paper 3.4.2)."""
        with self._optimiser.autocast():
            return self.teacher(batch[0].plain)

    @torch.no_grad()
    def measure(self, embeddings: Tensor, step: int) -> dict[str, float]:
        """Return the teacher's values and what tells a collapse, from embeddings (V, bottleneck) of many images."""
        values, assignment = values_at(self._settings, step), Assignment()
        for rows in embeddings.split(EMBEDDINGS_AT_ONCE):
            logits = self.teacher.head.logits(rows.to(self.centre.device))
            assignment.add(teacher_probabilities(logits, self.centre, values.teacher_temperature))
        return {
            "teacher_momentum": values.teacher_momentum,
            "teacher_temperature": values.teacher_temperature,
            "teacher_entropy": assignment.entropy,
            "teacher_kl_uniform": assignment.divergence,
            "teacher_information": assignment.information,
            "feature_deviation": feature_deviation(embeddings),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on."""
        return {
            "student": self.student.state_dict(),
            "teacher": self.teacher.state_dict(),
            "centre": self.centre,
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.student.load_state_dict(state["student"])
        self.teacher.load_state_dict(state["teacher"])
        self.centre = state["centre"].to(self.centre.device)
        self._optimiser.load_state_dict(state["optimiser"])

    def _forward(self, student: nn.Module, views: list[Tensor], temperature: float) -> tuple[Tensor, Tensor]:
        with self._optimiser.autocast():
            targets = self.teacher(views[0])
            embeddings = student(*views)
        with torch.no_grad():
            logits = self.teacher.head.logits(targets)
            mean_logits = logits.mean(0)
            probabilities = teacher_probabilities(logits, self.centre, temperature)
        prototypes = [head.prototypes for head in self.student.heads]
        return stage_losses(embeddings, prototypes, probabilities, self._settings.student_temperature), mean_logits
