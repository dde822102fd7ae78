import numpy as np
import pytest
import torch
import yaml

from tests.workflow import ROOT
from workflow_scripts.pretrain.methods.optimiser import parameter_groups
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
            "encoder": None,
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


def test_an_encoder_with_schedules_of_its_own_follows_them_and_the_heads_follow_theirs(make_settings):
    """Preset ``code``: the authors train the encoder at 1e-3 to 1e-4 and the heads at 0.1 to 0.01."""
    given = yaml.safe_load((ROOT / "config.yaml").read_text())["pretrain"]["optimisers"]["code"]
    settings = make_settings(epochs=20, samples_per_epoch=12, optimiser=given)
    values = [values_at(settings, step) for step in range(settings.steps)]
    top = 10 * settings.steps_per_epoch
    encoder = np.array([value.encoder_learning_rate for value in values])
    np.testing.assert_allclose(encoder, np.concatenate([np.linspace(0, 1e-3, top), half_cosine(1e-3, 1e-4, top)]))
    np.testing.assert_allclose([value.learning_rate for value in values], 100 * encoder)
    assert {value.encoder_weight_decay for value in values} == {0.01}


def test_the_optimiser_gives_encoder_and_heads_their_own_values():
    network = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 1)})
    network.encoder = network["encoder"]
    groups = parameter_groups(network)
    assert {(group["encoder"], group["decays"]) for group in groups} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
    encoder = {id(p) for group in groups if group["encoder"] for p in group["params"]}
    assert encoder == {id(p) for p in network["encoder"].parameters()}
