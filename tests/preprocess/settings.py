"""One choice of the settings of a registration and of the limits of quality, as dataclasses and as options."""

from typing import Any

from workflow_scripts.preprocess.quality.checks import QualityLimits
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.study.options import options

REGISTRATION = RegistrationSettings(
    metric_bins=32,
    resolutions=2,
    iterations=128,
    samples=2000,
    max_step_mm=4.0,
    window_hu=(0.0, 80.0),
    background_hu=0.0,
    mask_margin_mm=15.0,
    grid_mm=2.0,
    seed=1,
    threads=1,
)
LIMITS = QualityLimits(
    min_cross_check_dice=0.93,
    max_hull_excess=0.25,
    brain_ml=(800, 2200),
    max_tissue_beyond_mm=5.0,
    max_end_share=0.3,
    max_metal_ml=0.05,
    max_skull_gap_cm2=2.0,
    max_slice_mm=8.0,
    max_mri_deformation_mm=1.5,
    max_mri_offset_mm=8.0,
    min_mri_side_ratio=1.03,
    max_lesion_outside_brain=0.1,
    min_lesion_darker_hu=-2.0,
)


def as_options(settings: Any) -> list[str]:
    """The words of a command line that stand for a dataclass of settings."""
    return options({name.replace("_", "-"): value for name, value in vars(settings).items()})


REGISTRATION_OPTIONS = as_options(REGISTRATION)
LIMIT_OPTIONS = as_options(LIMITS)
