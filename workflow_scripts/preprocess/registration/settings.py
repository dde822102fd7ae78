"""The values of ``preprocess.registration`` in config.yaml, on their way through a command line."""

import argparse
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


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add one option for every field of `RegistrationSettings`."""
    for name in ("metric-bins", "resolutions", "iterations", "samples", "seed", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("max-step-mm", "background-hu", "mask-margin-mm", "grid-mm"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--window-hu", type=float, nargs=2, required=True, metavar=("LOW", "HIGH"))


def settings_of(arguments: argparse.Namespace) -> RegistrationSettings:
    """Collect the options of `add_settings`."""
    values = {name: getattr(arguments, name) for name in RegistrationSettings.__dataclass_fields__}
    return RegistrationSettings(**values | {"window_hu": tuple(arguments.window_hu)})
