"""The values of ``preprocess.registration`` in config.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RegistrationSettings:
    """What a registration can be told; names and units as in config.yaml, ``threads`` from the rule."""

    metric_bins: int
    resolutions: int
    iterations: int
    samples: int
    max_step_mm: float
    window_hu: tuple[float, float]
    background_hu: float
    mask_margin_mm: float
    grid_mm: float
    seed: int
    threads: int
