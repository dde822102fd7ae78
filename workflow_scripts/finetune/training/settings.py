"""The settings of a finetuning."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from workflow_scripts.common.settings import from_mapping, to_mapping
from workflow_scripts.study.training_values import require_finetune_values


@dataclass(frozen=True)
class EncoderTraining:
    """How a pretrained encoder is trained on; names as in config.yaml, section ``finetune.encoder``."""

    freeze_epochs: int
    learning_rate_factor: float
    warmup_epochs: int

    def factor(self, epoch: int) -> float:
        """Return the encoder's learning rate in an epoch over that of the rest of the network.

        Examples
        --------
        >>> [EncoderTraining(1, 0.5, 1).factor(epoch) for epoch in range(4)]
        [0.0, 0.25, 0.5, 0.5]
        """
        trained = epoch - self.freeze_epochs + 1  # epochs, this one included
        return self.learning_rate_factor * min(1.0, max(0, trained) / (self.warmup_epochs + 1))


@dataclass(frozen=True)
class FinetuneSettings:
    """What a finetuning may vary; names and units as in config.yaml, section ``finetune``.

    ``encoder`` is None for an arm from scratch, whose encoder is trained as the rest of the network.
    """

    epochs: int
    iterations_per_epoch: int
    validation_iterations: int
    learning_rate: float
    momentum: float
    oversample_foreground: float
    encoder: EncoderTraining | None
    save_minutes: float
    compile: str


def parse_settings(mapping: Mapping[str, Any], where: str) -> FinetuneSettings:
    """Take from the content of an arm's settings file, which is named ``where``, what decides its trainings.

    Raises `InputError` for a key that is missing, and for a value that the configuration may not have.
    """
    names = {field.name for field in fields(FinetuneSettings)}
    own = isinstance(mapping, Mapping) and {name: value for name, value in mapping.items() if name in names}
    settings = from_mapping(FinetuneSettings, own or mapping, where)
    require_finetune_values(to_mapping(settings), where)
    return settings
