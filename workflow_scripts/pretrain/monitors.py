"""What tells whether a self-supervised training learns or collapses (paper 3.4.2)."""

import torch
from torch import Tensor

RANKME_EPSILON = 1e-7


def rankme(embeddings: Tensor, centred: bool) -> float:
    """Smooth rank of a set of embeddings (n, d) (Garrido et al. 2023): exp of the entropy of its singular values.

    Singular values are divided by their sum, with 1e-7 added, as published. ``centred`` first takes the mean
    embedding away, so that a common offset does not count as a direction.
    """
    matrix = embeddings.double()
    if centred:
        matrix = matrix - matrix.mean(0)
    values = torch.linalg.svdvals(matrix)
    shares = values / values.sum().clamp_min(RANKME_EPSILON) + RANKME_EPSILON
    return float(torch.exp(-(shares * shares.log()).sum()))


def entropy(probabilities: Tensor) -> Tensor:
    """Mean entropy, in nats, of the rows of (V, K): ln K when uniform, 0 when one prototype takes all."""
    return torch.special.entr(probabilities).sum(1).mean()
