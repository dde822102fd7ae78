import math

import numpy as np
import pytest
import torch

from workflow_scripts.pretrain.monitors import entropy, rankme


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


def test_entropy_is_ln_k_when_uniform_and_zero_when_one_prototype_takes_all():
    assert entropy(torch.full((3, 8), 1 / 8)).item() == pytest.approx(math.log(8))
    assert entropy(torch.eye(8)).item() == 0
