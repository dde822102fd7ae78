import math

import numpy as np
import pytest
import torch
from scipy import stats

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.methods.monitors import Assignment, feature_deviation, rankme, sound_alarm
from workflow_scripts.pretrain.settings import Alarm


def matrix_with_spectrum(values, rows=40, columns=12):
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(rows, len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(columns, len(values))))
    return torch.from_numpy(left @ np.diag(values) @ right.T)


@pytest.mark.parametrize("rank", [1, 4, 12])
def test_rankme_of_a_flat_spectrum_is_the_rank(rank):
    assert rankme(matrix_with_spectrum(np.ones(rank)), centred=False) == pytest.approx(rank, rel=1e-4)


def test_rankme_is_the_exponential_of_the_spectrums_entropy():
    values = np.array([8.0, 4.0, 2.0, 1.0, 1.0])
    shares = values / values.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert rankme(matrix_with_spectrum(values), centred=False) == pytest.approx(expected, rel=1e-4)


def test_centring_removes_a_common_offset():
    embeddings = matrix_with_spectrum(np.ones(6))
    centred = rankme(embeddings, centred=True)
    assert rankme(embeddings + 100, centred=True) == pytest.approx(centred, rel=1e-6)
    assert rankme(embeddings + 100, centred=False) < 1.5


def test_rankme_of_collapsed_embeddings_is_defined():
    assert math.isfinite(rankme(torch.zeros(8, 4), centred=True))
    assert rankme(torch.ones(8, 4), centred=False) == pytest.approx(1, rel=1e-4)


def assignment(*batches):
    result = Assignment()
    for batch in batches:
        result.add(batch)
    return result


def test_monitors_of_a_teacher_that_gives_every_image_a_prototype_of_its_own():
    found = assignment(torch.eye(8)[:4], torch.eye(8)[4:])
    assert (found.entropy, found.divergence, found.information) == pytest.approx((0, 0, math.log(8)), abs=1e-6)


@pytest.mark.parametrize(
    ("row", "entropy", "divergence"),
    [(torch.full((8,), 1 / 8), math.log(8), 0), (torch.eye(8)[3], 0, math.log(8))],
    ids=["uniform", "one prototype"],
)
def test_either_kind_of_collapse_leaves_no_information(row, entropy, divergence):
    found = assignment(row.expand(5, 8))
    assert found.entropy == pytest.approx(entropy, abs=1e-6)
    assert found.divergence == pytest.approx(divergence, abs=1e-6)
    assert found.information == pytest.approx(0, abs=1e-6)


def test_monitors_equal_scipys_entropies():
    rows = np.random.default_rng(0).dirichlet(np.ones(6), 20)
    found = assignment(torch.from_numpy(rows))
    assert found.entropy == pytest.approx(stats.entropy(rows, axis=1).mean())
    assert found.divergence == pytest.approx(stats.entropy(rows.mean(0), np.full(6, 1 / 6)))


def test_feature_deviation_is_one_on_the_sphere_and_zero_when_all_are_alike():
    spread = torch.randn(20000, 16, generator=torch.Generator().manual_seed(0))
    assert feature_deviation(spread) == pytest.approx(1, rel=0.02)
    assert feature_deviation(torch.ones(9, 16) * torch.arange(1, 10)[:, None]) == pytest.approx(0, abs=1e-7)


def test_the_alarm_needs_some_epochs_in_a_row_below_a_bound():
    alarm = Alarm(feature_deviation=0.1, information=0.5, epochs=2, first_epoch=1)
    low, high = (
        {"feature_deviation": 0.05, "teacher_information": 1.0},
        {"feature_deviation": 0.3, "teacher_information": 1.0},
    )
    sound_alarm([low, high, low], alarm)
    sound_alarm([low, low], alarm)
    sound_alarm([high, {"feature_deviation": 0.3, "teacher_information": 0.0}], alarm)
    with pytest.raises(InputError, match=r"feature_deviation .* was 0\.05, 0\.05 in the last 2 epochs, below .* 0\.1"):
        sound_alarm([high, low, low], alarm)
    with pytest.raises(InputError, match=r"collapsed: teacher_information .* was 0, 0 .*centre_momentum"):
        sound_alarm([high | {"teacher_information": 0.0}] * 3, alarm)


def test_a_loss_of_chance_is_told_and_stops_nothing(caplog):
    alarm = Alarm(feature_deviation=0.0, information=0.0, epochs=2, first_epoch=1)
    nats = {"teacher_information": 1.0, "teacher_kl_uniform": 0.25, "teacher_entropy": math.log(256) - 1.25}
    learned, stuck = nats | {"train_loss": 5.4}, nats | {"train_loss": 5.55}
    sound_alarm([stuck, stuck, learned], alarm)
    sound_alarm([{"train_loss": 9.0, "feature_deviation": 1.0}] * 3, alarm)
    assert not caplog.records
    sound_alarm([stuck, stuck, stuck], alarm)
    assert "5.5500, is not below ln K, 5.5452" in caplog.text
