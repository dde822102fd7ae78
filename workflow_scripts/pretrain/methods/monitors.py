"""What tells whether a self-supervised training learns or collapses (paper 3.4.2)."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.training_curves import chance_loss
from workflow_scripts.pretrain.settings import Alarm

log = logging.getLogger(__name__)

RANKME_EPSILON = 1e-7


def rankme(embeddings: Tensor, centred: bool) -> float:
    """Smooth rank of a set of embeddings (n, d) (Garrido et al. 2023): exp of the entropy of its singular values.

    Singular values are divided by their sum, with 1e-7 added, as published. ``centred`` first takes the mean
    embedding away, so that a common offset does not count as a direction.

    Examples
    --------
    >>> round(rankme(torch.eye(4), centred=False), 3)
    4.0
    """
    matrix = embeddings.double()
    if centred:
        matrix = matrix - matrix.mean(0)
    values = torch.linalg.svdvals(matrix)
    shares = values / values.sum().clamp_min(RANKME_EPSILON) + RANKME_EPSILON
    return float(torch.exp(-(shares * shares.log()).sum()))


def feature_deviation(embeddings: Tensor) -> float:
    """Standard deviation of the coordinates of unit embeddings (n, d) over images, times the root of d.

    1 when they spread evenly over the sphere, 0 when all images have the same (Chen and He 2021).
    """
    units = torch.nn.functional.normalize(embeddings.double(), dim=1)
    return float(units.std(0).mean() * math.sqrt(embeddings.shape[1]))


class Assignment:
    """How a teacher spreads images over K prototypes: probabilities are added batch by batch."""

    def __init__(self) -> None:
        self._rows = 0
        self._entropy = 0.0
        self._sum: Tensor | None = None

    def add(self, probabilities: Tensor) -> None:
        """Add the rows of (V, K)."""
        self._rows += len(probabilities)
        self._entropy += float(torch.special.entr(probabilities).sum())
        total = probabilities.sum(0, dtype=torch.float64)
        self._sum = total if self._sum is None else self._sum + total

    @property
    def entropy(self) -> float:
        """Mean entropy of the rows in nats: ln K when uniform, 0 when each image has one prototype."""
        return self._entropy / self._rows

    @property
    def divergence(self) -> float:
        """Divergence (Kullback-Leibler, nats) of the mean row from uniform: ln K when one prototype takes all."""
        return math.log(len(self._sum)) - float(torch.special.entr(self._sum / self._rows).sum())

    @property
    def information(self) -> float:
        """Nats that a prototype tells about its image: ln K - divergence - entropy.

        0 when all images have the same probabilities, whether uniform or on one prototype: either kind of collapse.
        """
        return math.log(len(self._sum)) - self.divergence - self.entropy


def sound_alarm(rows: Sequence[Mapping[str, Any]], alarm: Alarm) -> None:
    """Raise `InputError` when a monitor of the last ``alarm.epochs`` rows of the curves is below its bound in all.

    A loss that is not below that of chance is told and stops nothing: it may still fall.
    """
    recent = rows[alarm.first_epoch :][-alarm.epochs :]
    if len(recent) < alarm.epochs:
        return
    for name, bound, meaning in (
        ("teacher_information", alarm.information, "nats that the teacher's output tells about an image"),
        ("feature_deviation", alarm.feature_deviation, "relative standard deviation of the embeddings"),
    ):
        values = [row[name] for row in recent if name in row]
        if values and max(values) < bound:
            raise InputError(
                f"The training collapsed: {name} ({meaning}) was {', '.join(f'{value:.3g}' for value in values)} "
                f"in the last {len(values)} epochs, below pretrain.alarm.{name.removeprefix('teacher_')} {bound:g}.",
                "check that centre_momentum is below 1 and teacher_temperature below student_temperature, change the "
                "learning rate (see docs/pretraining_evidence.md), or raise teacher_momentum; the state of the epoch "
                "before is kept.",
            )
    chances = [(row.get("train_loss"), chance_loss(row)) for row in recent]
    if all(chance is not None and loss >= chance for loss, chance in chances):
        log.warning(
            "The loss, %.4f, is not below ln K, %.4f, as if no view were told from another. If it stays there, change "
            "the learning rate, too low or too high, or make views more alike (docs/pretraining_evidence.md).",
            *chances[-1],
        )
