"""The settings of one pretraining: what its ``settings.yaml`` holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_scripts.common.settings import from_mapping, to_mapping
from workflow_scripts.study.training_values import require_pretrain_values

PATCH_AXES = "z, y, x"
PATCH_KEYS = ("patch_size", "local_views.patch_size")


@dataclass(frozen=True)
class Span:
    """First and last value of a cosine schedule."""

    start: float
    end: float


@dataclass(frozen=True)
class Ramp:
    """First and last value of a linear ramp and its length in epochs."""

    start: float
    end: float
    warmup_epochs: int


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of a projection head: hidden units, output of the MLP, number of prototypes K (paper 3.4)."""

    hidden: int
    bottleneck: int
    prototypes: int


@dataclass(frozen=True)
class EncoderOptimiser:
    """Schedules of the encoder where they are not those of the rest of the network."""

    learning_rate: float
    min_learning_rate_ratio: float
    weight_decay: Span


@dataclass(frozen=True)
class Optimiser:
    """AdamW and its schedules (paper 3.4.2); ``clip_gradient``: norm of each parameter's gradient at most, or None."""

    learning_rate: float
    min_learning_rate_ratio: float
    warmup_epochs: int
    weight_decay: Span
    clip_gradient: float | None
    frozen_last_layer_epochs: int
    encoder: EncoderOptimiser | None


@dataclass(frozen=True)
class LocalViews:
    """Multi-crop (Caron et al. 2021): ``count`` smaller views an image, cut at ``scale`` times ``patch_size``."""

    count: int
    patch_size: tuple[int, int, int]
    scale: tuple[float, float]


@dataclass(frozen=True)
class Masking:
    """What masked autoencoding hides: this ``fraction`` of the blocks of ``block_size`` voxels (z, y, x)."""

    block_size: tuple[int, int, int]
    fraction: float


@dataclass(frozen=True)
class Alarm:
    """Lower bounds of the monitors.

    A training below one of them at the end of ``epochs`` epochs running stops; those before ``first_epoch``, counted
    from 0, are not judged.
    """

    feature_deviation: float
    information: float
    epochs: int
    first_epoch: int


@dataclass(frozen=True)
class PretrainSettings:
    """One pretraining: its entry under ``pretrainings`` and the section ``pretrain`` of the configuration.

    Sizes are in voxels in the order (z, y, x); ``augmentation`` maps each augmentation's name to its values.
    """

    pretraining: str
    image_set: str
    channels: tuple[str, ...]
    symmetry: bool
    method: str
    seed: int
    splits: tuple[str, ...]
    epochs: int
    samples_per_epoch: int
    batch_size: int
    accumulate: int
    patch_size: tuple[int, int, int]
    slab_slices: int
    independent_z: bool
    parent_scale: tuple[float, float]
    view_scale: tuple[float, float]
    min_brain_fraction: float
    max_draws: int
    symmetry_probability: float
    augmentation: Mapping[str, Mapping[str, Any]]
    local_views: LocalViews
    masking: Masking
    projection_head: HeadSizes
    centre_momentum: float
    student_temperature: float
    teacher_temperature: Ramp
    teacher_momentum: Span
    preset: str
    optimiser: Optimiser
    validation_samples: int
    rankme_samples: int
    alarm: Alarm
    precision: str
    compile: str
    save_minutes: float
    images_on_device: str

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return self.samples_per_epoch // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps in the whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def patch_sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Patch of the pairs and, with multi-crop, that of the local views."""
        return (self.patch_size, self.local_views.patch_size)[: 2 if self.local_views.count else 1]

    def epoch_of(self, step: int) -> int:
        """Return the epoch that a step belongs to."""
        return step // self.steps_per_epoch

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain mappings, lists and scalars."""
        return to_mapping(self)


def parse_settings(mapping: Mapping[str, Any]) -> PretrainSettings:
    """Turn the content of a settings file into `PretrainSettings`.

    Raises `InputError` for a key that is missing or unknown, and for a value that the configuration may not have.
    """
    settings = from_mapping(PretrainSettings, mapping, "settings")
    require_pretrain_values(settings.to_mapping(), "settings")
    return settings
