import dataclasses
import random

import numpy as np
import pytest
import torch
from batchgenerators.augmentations import color_augmentations as colour
from batchgenerators.augmentations.noise_augmentations import augment_gaussian_blur, augment_gaussian_noise
from batchgenerators.augmentations.spatial_transformations import augment_mirroring
from scipy import ndimage

from workflow_scripts.pretrain.views.augment import (
    add_noise,
    augment,
    blur,
    change_brightness,
    change_gamma,
    draw_parameters,
    flip,
)

DRAWS = 4000


@pytest.fixture
def views():
    return torch.randn(3, 2, 6, 13, 10, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def drawn(make_settings):
    rng = np.random.default_rng(5)
    settings = make_settings(channels=["ncct", "difference"])
    return draw_parameters(settings, DRAWS, rng)


def uniform_moments(values, low, high):
    assert values.min() >= low and values.max() <= high
    assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    assert values.std().item() == pytest.approx((high - low) / 12**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "neutral", "probability", "low", "high"),
    [
        ("blur_sigma", 0, 0.8, 0.1, 2.0),
        ("factor", 1, 0.8, 0.75, 1.25),
        ("contrast", 1, 1.0, 0.75, 1.25),
    ],
)
def test_parameters_are_uniform_and_applied_with_their_probability(drawn, name, neutral, probability, low, high):
    values = getattr(drawn, name)
    applied = values != neutral
    assert applied.float().mean().item() == pytest.approx(probability, abs=0.02)
    uniform_moments(values[applied], low, high)


def test_noise_deviation_is_uniform_up_to_its_limit(drawn):
    uniform_moments(drawn.noise_sigma, 0.0, 0.1)


def test_gamma_is_drawn_below_and_above_one_equally_often(drawn):
    applied = drawn.exponent[drawn.exponent != 1]
    assert len(applied) / drawn.exponent.numel() == pytest.approx(0.8, abs=0.02)
    assert (applied < 1).float().mean().item() == pytest.approx(0.5, abs=0.02)
    uniform_moments(applied[applied < 1], 0.7, 1.0)
    uniform_moments(applied[applied > 1], 1.0, 1.5)


def test_shift_is_normal_with_its_probability(drawn):
    applied = drawn.shift[drawn.shift != 0]
    assert len(applied) / drawn.shift.numel() == pytest.approx(0.8, abs=0.02)
    assert applied.mean().item() == pytest.approx(0, abs=0.02)
    assert applied.std().item() == pytest.approx(0.4, rel=0.03)


def test_each_axis_is_mirrored_on_its_own_in_half_the_views(drawn):
    axes = drawn.flip.float()
    assert axes.mean(0).tolist() == pytest.approx([0.5] * 3, abs=0.03)
    assert torch.corrcoef(axes.T).fill_diagonal_(0).abs().max() < 0.06


def test_intensity_is_drawn_for_each_channel(drawn):
    for values in (drawn.noise_sigma, drawn.blur_sigma, drawn.factor, drawn.shift, drawn.contrast, drawn.exponent):
        assert abs(torch.corrcoef(values.T)[0, 1].item()) < 0.06


def test_blur_equals_scipys_three_dimensional_gaussian(views):
    sigma = torch.tensor([[0.1, 0.7], [1.3, 2.0], [0.0, 1.0]])
    blurred = blur(views, sigma)
    for view in range(3):
        for channel in range(2):
            expected = ndimage.gaussian_filter(views[view, channel].numpy(), float(sigma[view, channel]), truncate=4)
            np.testing.assert_allclose(blurred[view, channel], expected, atol=2e-6)


def test_noise_has_the_wanted_variance_and_is_white(make_settings):
    parameters = draw_parameters(make_settings(), 3, np.random.default_rng(0))
    parameters = dataclasses.replace(parameters, noise_sigma=torch.tensor([[0.1], [0.3], [0.3]]))
    noise = add_noise(torch.zeros(3, 1, 20, 30, 30), parameters)
    assert noise.std((1, 2, 3, 4)).tolist() == pytest.approx([0.1, 0.3, 0.3], rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    for one, two in ((noise[0, 0, :-1], noise[0, 0, 1:]), (noise[1], noise[2])):
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.03


def test_contrast_scales_around_the_mean_and_keeps_the_range(views):
    neutral = torch.ones(3, 2), torch.zeros(3, 2)
    changed = change_brightness(views, *neutral, torch.full((3, 2), 1.25))
    mean = views.mean((2, 3, 4), keepdim=True)
    inner = (views - mean).abs() < 1
    torch.testing.assert_close((changed - mean)[inner], (1.25 * (views - mean))[inner], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(changed.amax((2, 3, 4)), views.amax((2, 3, 4)))
    torch.testing.assert_close(changed.amin((2, 3, 4)), views.amin((2, 3, 4)))


def test_brightness_comes_before_contrast(views):
    factor, shift, contrast = 0.8 + torch.rand(3, 2), torch.randn(3, 2), 0.7 + torch.rand(3, 2)
    changed = change_brightness(views, factor, shift, contrast)
    brighter = views * factor[:, :, None, None, None] + shift[:, :, None, None, None]
    around = brighter.mean((2, 3, 4), keepdim=True)
    expected = around + contrast[:, :, None, None, None] * (brighter - around)
    limits = (measure((2, 3, 4), keepdim=True) for measure in (brighter.amin, brighter.amax))
    torch.testing.assert_close(changed, expected.clamp(*limits), atol=1e-5, rtol=1e-5)


def test_gamma_keeps_mean_standard_deviation_and_order(views):
    changed = change_gamma(views, torch.tensor([[0.7, 1.0], [1.5, 1.2], [1.0, 1.0]]))
    torch.testing.assert_close(changed.mean((2, 3, 4)), views.mean((2, 3, 4)), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed.std((2, 3, 4)), views.std((2, 3, 4)), atol=1e-4, rtol=0)
    assert torch.equal(changed[1, 0].flatten().argsort(), views[1, 0].flatten().argsort())
    torch.testing.assert_close(changed[2], views[2], atol=1e-5, rtol=0)
    low, high = views[1, 0].min(), views[1, 0].max()
    bent = ((views[1, 0] - low) / (high - low)) ** 1.5
    correlation = np.corrcoef(bent.ravel(), changed[1, 0].ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-6)


def test_gamma_leaves_a_constant_image_finite():
    assert torch.equal(change_gamma(torch.ones(1, 1, 4, 4, 4), torch.tensor([[0.7]])), torch.ones(1, 1, 4, 4, 4))


def test_mirroring_is_shared_by_the_channels_of_a_view(views):
    axes = torch.tensor([[True, False, False], [False, True, True], [False, False, False]])
    mirrored = flip(views, axes)
    torch.testing.assert_close(mirrored[0], views[0].flip(1))
    torch.testing.assert_close(mirrored[1], views[1].flip(2, 3))
    torch.testing.assert_close(mirrored[2], views[2])


def test_a_view_is_augmented_alike_in_a_part_of_its_batch(views, make_settings):
    settings = make_settings(channels=["ncct", "difference"])
    parameters = draw_parameters(settings, 3, np.random.default_rng(2))
    batch = augment(views, parameters)
    rows = np.array([2, 0])
    torch.testing.assert_close(augment(views[rows], parameters.of(rows)), batch[rows], atol=1e-5, rtol=1e-5)


def test_probability_zero_changes_nothing(views, make_settings):
    off = {name: values | {"probability": 0.0} for name, values in make_settings().to_mapping()["augmentation"].items()}
    settings = make_settings(channels=["ncct", "difference"], augmentation=off)
    rng = np.random.default_rng(0)
    parameters = draw_parameters(settings, 3, rng)
    torch.testing.assert_close(augment(views, parameters), views, atol=1e-5, rtol=0)


BATCHGENERATORS = {
    "noise": lambda view: augment_gaussian_noise(view, (0, 0.1)),
    "blur": lambda view: augment_gaussian_blur(view, (0.1, 2.0), per_channel=True),
    "multiplicative_brightness": lambda view: colour.augment_brightness_multiplicative(view, (0.75, 1.25)),
    "additive_brightness": lambda view: colour.augment_brightness_additive(view, 0, 0.4),
    "contrast": lambda view: colour.augment_contrast(view, (0.75, 1.25), preserve_range=True),
    "gamma": lambda view: colour.augment_gamma(view, (0.7, 1.5), per_channel=True, retain_stats=True),
    "flip": lambda view: augment_mirroring(view)[0],
}
REPEATS = 1500


@pytest.mark.parametrize("name", BATCHGENERATORS)
def test_augmented_views_have_the_moments_of_batchgenerators(name, make_settings):
    """Moments over many draws of one skewed, smooth view: mean, deviation, third moment, a voxel, neighbours."""
    rng = np.random.default_rng(4)
    view = ndimage.gaussian_filter(rng.gamma(1.5, size=(8, 10, 12)), 0.8).astype(np.float32)
    only = make_settings().to_mapping()["augmentation"]
    only = {key: values | {"probability": 0.0} for key, values in only.items()}
    only[name]["probability"] = 0.5 if name == "flip" else 1.0
    parameters = draw_parameters(make_settings(augmentation=only), REPEATS, rng)
    ours = augment(torch.from_numpy(view).expand(REPEATS, 1, *view.shape).contiguous(), parameters)[:, 0].numpy()
    np.random.set_bit_generator(np.random.MT19937(0))
    random.seed(0)
    theirs = np.stack([BATCHGENERATORS[name](view[None].copy())[0] for _ in range(REPEATS)])
    for statistic in (
        lambda v: v.mean((1, 2, 3)),
        lambda v: v.std((1, 2, 3)),
        lambda v: ((v - v.mean((1, 2, 3), keepdims=True)) ** 3).mean((1, 2, 3)),
        lambda v: v[:, 0, 0, 0],
        lambda v: (v[:, 1:] * v[:, :-1]).mean((1, 2, 3)),
        lambda v: (v[..., 1:] * v[..., :-1]).mean((1, 2, 3)),
    ):
        one, two = statistic(ours.astype(float)), statistic(theirs.astype(float))
        error = np.sqrt((one.var() + two.var()) / REPEATS) + 1e-5
        assert abs(one.mean() - two.mean()) < 4 * error
        assert one.std() == pytest.approx(two.std(), rel=0.12, abs=1e-4)
