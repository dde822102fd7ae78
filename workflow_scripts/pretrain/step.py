"""One optimiser step of deep self-distillation, and the state it changes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.pretrain.loss import stage_losses, teacher_probabilities, updated_centre
from workflow_scripts.pretrain.monitors import entropy
from workflow_scripts.pretrain.schedules import StepValues
from workflow_scripts.pretrain.settings import Settings
from workflow_scripts.pretrain.student import Student, Teacher


class Distillation:
    """Student, teacher, centre and optimiser of one pretraining.

    Student and teacher both normalise by the batch while training, so each has running statistics of its own; outside
    `step` both are in evaluation mode and nothing of them changes.
    """

    def __init__(self, encoder: nn.Module, settings: Settings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.student = Student(encoder, settings.head).to(device)
        self.teacher = Teacher(self.student)
        self.centre = torch.zeros(settings.head.prototypes, device=device)
        self.optimiser = torch.optim.AdamW(parameter_groups(self.student), lr=0.0)
        self.half = half_precision(settings.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half == torch.float16)
        self.student.eval()
        self.teacher.eval()

    def step(self, views: Tensor, values: StepValues, frozen_last_layer: bool) -> tuple[Tensor, Tensor]:
        """Learn from a batch of pairs.

        Parameters
        ----------
        views
            shape (2B, C, z, y, x): first views of B images, then their second views
        values
            learning rate, weight decay, momentum and temperature of this step
        frozen_last_layer
            leave the prototypes of all heads as they are

        Returns
        -------
        tuple of Tensor
            losses of the N stages, shape (N,), and the teacher's mean entropy in nats, on the training device
        """
        self._use(values)
        self.student.train()
        self.teacher.train()
        losses, probabilities, logits = self._forward(views, values.teacher_temperature)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(losses.mean()).backward()
        self._descend(frozen_last_layer)
        self.student.eval()
        self.teacher.eval()
        self.teacher.follow(self.student, values.teacher_momentum)
        with torch.no_grad():
            self.centre = updated_centre(self.centre, logits, self.settings.centre_momentum)
        return losses.detach(), entropy(probabilities)

    @torch.no_grad()
    def evaluate(self, views: Tensor, teacher_temperature: float) -> Tensor:
        """Return the losses of the N stages on pairs as in `step`; changes neither weights, statistics nor centre."""
        return self._forward(views, teacher_temperature)[0]

    @torch.no_grad()
    def embed(self, views: Tensor) -> Tensor:
        """Return the output of the teacher's MLP, (V, bottleneck), of which RankMe is computed (paper 3.4.2)."""
        with self._autocast():
            return self.teacher.embed(views)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on."""
        return {
            "student": self.student.state_dict(),
            "teacher": self.teacher.state_dict(),
            "centre": self.centre,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.student.load_state_dict(state["student"])
        self.teacher.load_state_dict(state["teacher"])
        self.centre = state["centre"].to(self.device)
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])

    def _forward(self, views: Tensor, teacher_temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        with self._autocast():
            teacher_logits = self.teacher(views)
            student_logits = self.student(views)
        probabilities = teacher_probabilities(teacher_logits, self.centre, teacher_temperature)
        losses = stage_losses(student_logits, probabilities, self.settings.student_temperature)
        return losses, probabilities, teacher_logits

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.half, enabled=self.half is not None)

    def _use(self, values: StepValues) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = values.learning_rate
            if group["decays"]:
                group["weight_decay"] = values.weight_decay

    def _descend(self, frozen_last_layer: bool) -> None:
        self.scaler.unscale_(self.optimiser)
        if frozen_last_layer:
            for head in self.student.heads:
                head.prototypes.grad = None
        if self.settings.optimiser.clip_gradient is not None:
            nn.utils.clip_grad_norm_(self.student.parameters(), self.settings.optimiser.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Split parameters into those with and without weight decay: biases and norms have none, as in DINO."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "decays": True},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "decays": False},
    ]


def half_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the 16-bit type to compute in: None for float32, which is also what `auto` means on a CPU."""
    if precision == "float32" or device.type == "cpu":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
