import numpy as np
import pytest

from workflow_scripts.pretrain.methods.schedules import values_at


@pytest.fixture
def settings(make_settings):
    return make_settings(
        epochs=20,
        samples_per_epoch=12,
        teacher_momentum={"start": 0.9996, "end": 1.0},
        optimiser={
            "learning_rate": 1e-3,
            "min_learning_rate_ratio": 0.1,
            "warmup_epochs": 4,
            "weight_decay": {"start": 0.04, "end": 1e-5},
            "clip_gradient": None,
            "frozen_last_layer_epochs": 1,
        },
    )


@pytest.fixture
def course(settings):
    values = [values_at(settings, step) for step in range(settings.steps)]
    return lambda name: np.array([getattr(value, name) for value in values])


def half_cosine(start, end, steps):
    return end + (start - end) * np.cos(np.pi * np.arange(steps) / steps / 2) ** 2


def test_learning_rate_ramps_up_then_follows_half_a_cosine(course):
    expected = np.concatenate([np.linspace(0, 1e-3, 12), half_cosine(1e-3, 1e-4, 48)])
    np.testing.assert_allclose(course("learning_rate"), expected, rtol=1e-12)


def test_weight_decay_and_teacher_momentum_follow_half_a_cosine(course):
    np.testing.assert_allclose(course("weight_decay"), half_cosine(0.04, 1e-5, 60), rtol=1e-12)
    np.testing.assert_allclose(course("teacher_momentum"), half_cosine(0.9996, 1.0, 60), rtol=1e-12)


def test_teacher_temperature_ramps_over_ten_epochs_and_stays(course):
    expected = np.concatenate([np.linspace(0.04, 0.07, 10), np.full(10, 0.07)]).repeat(3)
    np.testing.assert_allclose(course("teacher_temperature"), expected, rtol=1e-12)


def test_a_training_shorter_than_its_warm_up_only_ramps(make_settings):
    settings = make_settings(epochs=2, optimiser=make_settings().to_mapping()["optimiser"] | {"warmup_epochs": 10})
    rates = [values_at(settings, step).learning_rate for step in range(settings.steps)]
    np.testing.assert_allclose(rates, np.linspace(0, 1e-3, 8), rtol=1e-12)
