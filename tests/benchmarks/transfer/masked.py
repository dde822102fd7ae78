"""DeSD with masked prediction, after iBOT (Zhou et al. 2022): the student tells what only the teacher was shown.

The student gets both views with blocks hidden, the teacher whole ones. At hidden positions of the last stage the
student's features go through the last head and are compared with the teacher's of the same view and position.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.heads import pool
from workflow_scripts.pretrain.methods.loss import cross_entropy, stage_losses, teacher_probabilities, updated_centre
from workflow_scripts.pretrain.methods.mae import draw_mask
from workflow_scripts.pretrain.methods.schedules import values_at
from workflow_scripts.pretrain.views.batches import Batch

Inputs = tuple[Tensor, Tensor]


class MaskedDistillation(Distillation):
    """Of one process; the head of the last stage is shared, and positions have a centre of their own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.centre_of_positions = torch.zeros_like(self.centre)

    def inputs(self, batch: Batch) -> Inputs:
        """Return augmented views (V, C, z, y, x) and which of their voxels are hidden, bool (V, 1, z, y, x)."""
        views = batch[0].augmented()
        return views, draw_mask(batch[0].parameters, views.shape[2:], self._settings.masking).to(views.device)

    def step(self, inputs: Inputs, step: int) -> Tensor:
        values = values_at(self._settings, step)
        self.student.train()
        self.teacher.train()
        losses, means = self._both(inputs, values.teacher_temperature)
        self._optimiser.step(losses[:-1].mean() + losses[-1], values, ())
        self.student.eval()
        self.teacher.eval()
        self.teacher.follow(self.student, values.teacher_momentum)
        self.centre, self.centre_of_positions = (
            updated_centre(centre, mean, self._settings.centre_momentum)
            for centre, mean in zip((self.centre, self.centre_of_positions), means, strict=True)
        )
        return losses.detach()

    @torch.no_grad()
    def evaluate(self, inputs: Inputs, step: int) -> Tensor:
        return self._both(inputs, values_at(self._settings, step).teacher_temperature)[0]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"centre_of_positions": self.centre_of_positions}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.centre_of_positions = state["centre_of_positions"]

    def _both(self, inputs: Inputs, temperature: float) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return losses of stages and positions, (N + 1,), and the mean logits of the teacher for both."""
        views, hidden = inputs
        with torch.no_grad():
            seen = self.teacher.encoder(views)[-1]
            at = F.adaptive_avg_pool3d(hidden.float(), seen.shape[2:])[:, 0] > 0.5
            logits = [self.teacher.head.logits(self.teacher.head(rows)) for rows in (pool(seen), _rows(seen, at))]
            images, positions = (
                teacher_probabilities(each, centre, temperature)
                for each, centre in zip(logits, (self.centre, self.centre_of_positions), strict=True)
            )
        maps, heads = self.student.encoder(views.masked_fill(hidden, 0)), self.student.heads
        embeddings = [head(pool(features)) for head, features in zip(heads, maps, strict=True)]
        prototypes, cool = [head.prototypes for head in heads], self._settings.student_temperature
        told = cross_entropy(positions, heads[-1](_rows(maps[-1], at)), prototypes[-1], cool)
        losses = stage_losses(embeddings, prototypes, images, cool)
        return torch.cat([losses, told[None]]), (logits[0].mean(0), logits[1].mean(0))


def _rows(features: Tensor, at: Tensor) -> Tensor:
    """Features (V, C, z, y, x) at positions, bool (V, z, y, x): (n, C)."""
    return features.movedim(1, -1)[at]
