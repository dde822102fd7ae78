"""The loss of DeSD: Eq. 1 to 3 of paper 3.4, as the authors' code and DINO (Caron et al. 2021) have them.

The paper writes the temperature outside the exponent (Eq. 2) and adds the centre; the code divides inside and
subtracts, which is what centring and sharpening mean. The sum of Eq. 3 over the two cross pairs is their mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def teacher_probabilities(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """P_t of Eq. 2: softmax((g_t - c) / T_t) over K, centred and sharpened; shapes (V, K), (K,) -> (V, K)."""
    return torch.softmax((logits - centre) / temperature, dim=1)


def updated_centre(centre: Tensor, logits: Tensor, momentum: float) -> Tensor:
    """Eq. 1: c <- m c + (1 - m) mean of g_t over the batch (both views); shapes (K,), (V, K) -> (K,)."""
    return centre * momentum + logits.mean(0) * (1 - momentum)


def cross_entropy(probabilities: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """H(P_t, P_s), mean over the rows; both (V, K).

    -sum p log softmax(z) = logsumexp(z) - sum p z, as the p of a row sum to 1: the student's softmax is never held.
    """
    scaled = logits / temperature
    return (torch.logsumexp(scaled, dim=1) - (probabilities * scaled).sum(1)).mean()


def stage_losses(student: Sequence[Tensor], probabilities: Tensor, temperature: float) -> Tensor:
    """Eq. 3 for each stage: mean of H(P_t(x), P_s^i(x')) over the cross pairs of two views.

    Parameters
    ----------
    student
        N tensors of logits (2B, K), the first B rows of view 1, the others of view 2 of the same images
    probabilities
        the teacher's, (2B, K), rows in the same order
    temperature
        T_s

    Returns
    -------
    Tensor
        shape (N,); its mean is the training loss
    """
    swapped = probabilities.roll(probabilities.shape[0] // 2, 0)
    return torch.stack([cross_entropy(swapped, logits, temperature) for logits in student])
