"""Values that change during training (paper 3.4, 3.4.2), as functions of step or epoch, both counted from 0."""

import math
from dataclasses import dataclass

from workflow_scripts.pretrain.settings import EncoderOptimiser, Optimiser, PretrainSettings


@dataclass(frozen=True)
class StepValues:
    """What one optimiser step uses."""

    learning_rate: float
    weight_decay: float
    encoder_learning_rate: float
    encoder_weight_decay: float
    teacher_momentum: float
    teacher_temperature: float


def cosine(start: float, end: float, step: int, steps: int) -> float:
    """Half a cosine from ``start`` at step 0 towards ``end`` at step ``steps``.

    Examples
    --------
    >>> cosine(1.0, 0.0, step=5, steps=10)
    0.5
    """
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / steps))


def linear(start: float, end: float, step: int, steps: int) -> float:
    """Straight line from ``start`` at step 0 to ``end`` at step ``steps`` - 1, ``end`` ever after."""
    return end if step >= steps - 1 else start + (end - start) * step / (steps - 1)


def learning_rate(base: float, final: float, step: int, steps: int, warmup_steps: int) -> float:
    """Linear warm-up from 0 to ``base``, then cosine to ``final`` (paper 3.4.2).

    Examples
    --------
    >>> [learning_rate(0.1, 0.01, step, steps=110, warmup_steps=10) for step in (0, 9, 10)]
    [0.0, 0.1, 0.1]
    """
    if step < warmup_steps:
        return linear(0.0, base, step, warmup_steps)
    return cosine(base, final, step - warmup_steps, steps - warmup_steps)


def values_at(settings: PretrainSettings, step: int) -> StepValues:
    """Return the values of one step of a pretraining; the teacher's temperature changes with the epoch, as in DINO."""
    optimiser, temperature = settings.optimiser, settings.teacher_temperature
    encoder, momentum = optimiser.encoder or optimiser, settings.teacher_momentum
    return StepValues(
        learning_rate=_rate(settings, optimiser, step),
        weight_decay=cosine(optimiser.weight_decay.start, optimiser.weight_decay.end, step, settings.steps),
        encoder_learning_rate=_rate(settings, encoder, step),
        encoder_weight_decay=cosine(encoder.weight_decay.start, encoder.weight_decay.end, step, settings.steps),
        teacher_momentum=cosine(momentum.start, momentum.end, step, settings.steps),
        teacher_temperature=linear(
            temperature.start, temperature.end, step // settings.steps_per_epoch, temperature.warmup_epochs
        ),
    )


def _rate(settings: PretrainSettings, given: Optimiser | EncoderOptimiser, step: int) -> float:
    base = given.learning_rate
    warmup = min(settings.optimiser.warmup_epochs, settings.epochs) * settings.steps_per_epoch
    return learning_rate(base, base * given.min_learning_rate_ratio, step, settings.steps, warmup)
