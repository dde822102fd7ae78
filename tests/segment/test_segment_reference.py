"""A scan that is unlike the training set is flagged; one that is like it is not."""

import numpy as np
import pytest
from scipy import ndimage

from workflow_scripts.common.volume import Volume
from workflow_scripts.segment.model.measures import scan_measures
from workflow_scripts.segment.model.reference import FLAGS, fit_reference, unfamiliar

SHAPE = (40, 48, 40)
INSIDE = ((np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2) ** 2 @ (1 / np.array([17.0, 21, 17]) ** 2)).T < 1


def scan(seed: int, noise: float = 3, offset: float = 0, share: float = 1) -> tuple[Volume, Volume, Volume]:
    """A brain of grey and white matter at 4 mm, the upper ``1 - share`` of it missing."""
    rng = np.random.default_rng(seed)
    brain = INSIDE & (np.indices(SHAPE)[2] < share * SHAPE[2])
    tissue = np.where(rng.random(SHAPE) < 0.5, 37, 29) + rng.normal(0, 0.3)
    hu = np.where(brain, tissue + offset + rng.normal(0, noise, SHAPE), -100)
    affine = np.diag([4.0, 4, 4, 1])
    image = Volume(hu.astype(np.float32), affine)
    return image, Volume(brain.astype(np.uint8), affine), image


def other(change) -> tuple[Volume, Volume, Volume]:
    """The brain of `scan` with other values in it: ``change`` of HU and a generator, on final image and scan."""
    image, brain, _ = scan(50)
    hu = change(image.data, np.random.default_rng(1)).astype(np.float32)
    return image.with_data(hu), brain, image.with_data(hu)


def contrast_medium(hu, rng):
    return np.where(rng.random(SHAPE) < 0.03, 150, hu)


def bone_kernel(hu, _rng):
    return hu + 2 * (hu - ndimage.gaussian_filter(hu, 1))


def thorax(_hu, rng):
    return np.where(np.indices(SHAPE)[0] % 16 < 8, -800, 45) + rng.normal(0, 3, SHAPE)


def features(seed: int, shift: float = 0) -> np.ndarray:
    return np.random.default_rng(seed + 1000).normal(1 + shift, 0.2, 32)


@pytest.fixture(scope="module")
def reference():
    return fit_reference([scan_measures(*scan(seed)) for seed in range(15)], np.array([features(s) for s in range(15)]))


def flags(reference, image, shift: float = 0, seed: int = 50) -> set[str]:
    return {one["flag"] for one in unfamiliar(reference, scan_measures(*image), features(seed, shift))} - {""}


def test_scans_like_the_training_set_have_no_flag(reference):
    found = [flags(reference, scan(seed), seed=seed) for seed in range(100, 120)]
    assert sum(bool(one) for one in found) <= 1


@pytest.mark.parametrize(
    ("image", "shift", "flag"),
    [
        (scan(50, offset=10), 0, "median_hu"),
        (scan(50, noise=15), 0, "noise_hu"),
        (scan(50, share=0.5), 0, "brain_ml"),
        (scan(50), 1.5, "feature_distance"),
        (other(contrast_medium), 0, "percentile_99_hu"),
        (other(bone_kernel), 0, "noise_hu"),
        (other(thorax), 0, "percentile_1_hu"),
    ],
)
def test_what_is_unlike_the_training_set_is_flagged(reference, image, shift, flag):
    assert FLAGS[flag] in flags(reference, image, shift)


def test_the_reference_keeps_no_single_scan(reference):
    assert set(reference) == {"scans", "limits", "features"}
    assert {name: np.shape(values) for name, values in reference["features"].items()} == {
        "mean": (32,),
        "sd": (32,),
        "precision": (32, 32),
        "limit": (),
    }


def test_noise_is_measured_in_hu():
    assert scan_measures(*scan(1, noise=0))["noise_hu"] < scan_measures(*scan(1, noise=20))["noise_hu"]
    flat = scan(1)
    noisy = flat[0].with_data(np.random.default_rng(0).normal(30, 5, SHAPE).astype(np.float32))
    assert scan_measures(flat[0], flat[1], noisy)["noise_hu"] == pytest.approx(5, rel=0.05)
