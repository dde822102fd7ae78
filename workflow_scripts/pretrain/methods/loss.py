"""The loss of DeSD: Eq. 1 to 3 of paper 3.4, as the authors' code and DINO (Caron et al. 2021) have them.

The paper writes the temperature outside the exponent (Eq. 2) and adds the centre; the code divides inside and
subtracts, which is what centring and sharpening mean. The sum of Eq. 3 over the two cross pairs is their mean.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from workflow_scripts.pretrain.methods.heads import prototype_norms

# On a CPU, so that its caches hold their logits; on a GPU these may take this part of its memory, all of them mostly.
PROTOTYPES_AT_ONCE = 8192
SHARE_OF_GPU = 1 / 64


def teacher_probabilities(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """P_t of Eq. 2: softmax((g_t - c) / T_t) over K, centred and sharpened; shapes (V, K), (K,) -> (V, K).

    Examples
    --------
    >>> teacher_probabilities(torch.tensor([[1.0, 1.0]]), torch.tensor([0.0, 0.0]), temperature=0.04)
    tensor([[0.5000, 0.5000]])
    """
    return torch.softmax((logits - centre) / temperature, dim=1)


def updated_centre(centre: Tensor, mean_logits: Tensor, momentum: float) -> Tensor:
    """Eq. 1: c <- m c + (1 - m) times the mean of g_t over the batch (both views); shapes (K,), (K,) -> (K,).

    Examples
    --------
    >>> updated_centre(torch.zeros(2), torch.tensor([1.0, -1.0]), momentum=0.9)
    tensor([ 0.1000, -0.1000])
    """
    return centre * momentum + mean_logits * (1 - momentum)


def cross_entropy(probabilities: Tensor, embeddings: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """H(P_t, P_s), mean over the rows, where P_s is the softmax of cosines over the student's temperature.

    -sum p log softmax(z) = logsumexp(z) - sum p z, as the p of a row sum to 1. Logits and their gradient are computed
    for some thousand prototypes at a time, forwards and again backwards, and never held.

    Parameters
    ----------
    probabilities
        the teacher's, (G, K)
    embeddings
        of the student, not normalised, (n G, D); row i is compared with row i modulo G of ``probabilities``
    prototypes
        not normalised, (K, D)
    """
    return _CrossEntropy.apply(F.normalize(embeddings, dim=1), prototypes, probabilities, temperature)


def stage_losses(
    embeddings: Sequence[Tensor], prototypes: Sequence[Tensor], probabilities: Tensor, temperature: float
) -> Tensor:
    """Eq. 3 for each stage: mean of H(P_t(x), P_s^i(x')) over the pairs of a teacher's and another view of an image.

    Parameters
    ----------
    embeddings
        N tensors (2B + L B, D): the first B rows of view 1, the next of view 2 of the same images, then those of L
        local views, which only the student sees
    prototypes
        N tensors (K, D)
    probabilities
        the teacher's of views 1 and 2, (2B, K)
    temperature
        T_s

    Returns
    -------
    Tensor
        shape (N,); its mean is the training loss
    """
    pairs, images = len(probabilities), len(probabilities) // 2
    local_views = len(embeddings[0]) // images - 2
    both = (probabilities[:images] + probabilities[images:]) / 2 if local_views else None
    losses = []
    for rows, weights in zip(embeddings, prototypes, strict=True):
        loss = cross_entropy(probabilities, rows[:pairs].roll(images, 0), weights, temperature)
        if local_views:
            local = cross_entropy(both, rows[pairs:], weights, temperature)
            loss = (loss + local_views * local) / (1 + local_views)
        losses.append(loss)
    return torch.stack(losses)


class _CrossEntropy(torch.autograd.Function):
    """`cross_entropy` of unit embeddings; the gradient of a row's logits is (softmax - p) / T."""

    @staticmethod
    def forward(
        context: Any, embeddings: Tensor, prototypes: Tensor, probabilities: Tensor, temperature: float
    ) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            total = torch.full((len(embeddings),), -torch.inf, dtype=embeddings.dtype, device=embeddings.device)
            agreement = torch.zeros_like(total)
            lengths = prototype_norms(prototypes)
            size = prototypes_at_once(embeddings)
            for weights, norms, targets in _pieces(prototypes, lengths, probabilities, size):
                logits = (embeddings @ weights.T).div_(norms * temperature)
                total = torch.logaddexp(total, torch.logsumexp(logits, 1))
                agreement += torch.einsum("ngk,gk->ng", _by_target(logits, targets), targets).reshape(-1)
        context.save_for_backward(embeddings, prototypes, lengths, probabilities, total)
        context.temperature = temperature
        return (total - agreement).mean()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        embeddings, prototypes, lengths, probabilities, total = context.saved_tensors
        scale = gradient / (len(embeddings) * context.temperature)
        of_embeddings, of_prototypes = torch.zeros_like(embeddings), torch.empty_like(prototypes)
        size = prototypes_at_once(embeddings)
        for (weights, norms, targets), result in zip(
            _pieces(prototypes, lengths, probabilities, size), of_prototypes.split(size), strict=True
        ):
            cosines = (embeddings @ weights.T).div_(norms)
            softmax = (cosines / context.temperature).sub_(total[:, None]).exp_()
            difference = (_by_target(softmax, targets) - targets).reshape(softmax.shape).mul_(scale)
            # A cosine does not change along its prototype: that part of the gradient is taken out.
            along = torch.linalg.vecdot(difference, cosines, dim=0) / norms**2
            torch.mul(weights, -along[:, None], out=result)
            difference /= norms
            result.addmm_(difference.T, embeddings)
            of_embeddings.addmm_(difference, weights)
        return of_embeddings, of_prototypes, None, None


def prototypes_at_once(embeddings: Tensor) -> int:
    """Return with how many prototypes the rows (n, D) of embeddings are compared at a time."""
    if embeddings.device.type == "cpu":
        return PROTOTYPES_AT_ONCE
    memory = torch.cuda.get_device_properties(embeddings.device).total_memory
    return max(PROTOTYPES_AT_ONCE, int(SHARE_OF_GPU * memory / (len(embeddings) * embeddings.element_size())))


def _pieces(prototypes: Tensor, lengths: Tensor, probabilities: Tensor, size: int) -> zip:
    return zip(prototypes.split(size), lengths.split(size), probabilities.split(size, 1), strict=True)


def _by_target(rows: Tensor, targets: Tensor) -> Tensor:
    return rows.view(-1, *targets.shape)
