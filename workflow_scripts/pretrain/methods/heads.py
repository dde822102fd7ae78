"""Projection heads (paper 3.4): from a stage's feature map to an embedding that is compared with K prototypes."""

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from workflow_scripts.pretrain.settings import HeadSizes

NORM_EPSILON = 1e-12


class _SumOfAll(torch.autograd.Function):
    """Sum over all processes; the gradient of each one's part is the sum of all gradients."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        del context
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        del context
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes of a training, on CPU and GPU alike.

    With one process this is its parent, `torch.nn.BatchNorm1d`. (`torch.nn.SyncBatchNorm` exists on GPUs only.)
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise (B, features); running statistics are those of all rows, the variance unbiased.

        Sums are float64 and those of squares are centred: the square of a large mean would swallow the variance.
        """
        if not (self.training and dist.is_initialized()):
            return super().forward(rows)
        rows = rows.double()
        total, count = _SumOfAll.apply(torch.cat([rows.sum(0), rows.new_tensor([len(rows)])])).split([rows.shape[1], 1])
        mean = total / count
        centred = rows - mean
        variance = _SumOfAll.apply((centred**2).sum(0)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.float(), self.momentum)
            self.running_var.lerp_((variance * count / (count - 1)).float(), self.momentum)
        normalised = centred * (variance + self.eps).rsqrt()
        return normalised.float() * self.weight + self.bias


class ProjectionHead(nn.Module):
    """MLP on pooled features, L2 normalisation, and prototypes on the unit sphere.

    The MLP has two hidden layers with batch normalisation and GELU and a bare output of ``bottleneck`` values. The
    prototypes are the rows of a weight-normalised linear layer whose gain is fixed at 1, as in DINO (Caron et al.
    2021), so logits are cosines between the embedding and K prototypes.

    Parameters
    ----------
    features
        channels of the stage's feature map
    sizes
        hidden units, bottleneck and prototypes
    """

    def __init__(self, features: int, sizes: HeadSizes) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(features, sizes.hidden),
            SharedBatchNorm(sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.hidden),
            SharedBatchNorm(sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Linear(sizes.bottleneck, sizes.prototypes, bias=False).weight

    def forward(self, pooled: Tensor) -> Tensor:
        """Map pooled features (B, features) to the output of the MLP, (B, bottleneck), float32."""
        return self.mlp(pooled).float()

    def logits(self, embeddings: Tensor) -> Tensor:
        """Map outputs of the MLP (B, bottleneck) to cosines (B, K) in -1..1, float32 also under autocast.

        They are divided by temperatures down to 0.04, which half precision would not survive.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            return F.linear(F.normalize(embeddings, dim=1), self.prototypes) / prototype_norms(self.prototypes)


def prototype_norms(prototypes: Tensor) -> Tensor:
    """Lengths of prototypes (K, D): (K,), bounded below as in `torch.nn.functional.normalize`.

    Logits are divided by them, not the prototypes: a row has K of the former, and K D values would be written.
    """
    return torch.linalg.vector_norm(prototypes, dim=1).clamp_min(NORM_EPSILON)


def pool(features: Tensor) -> Tensor:
    """Global average of a feature map (B, C, z, y, x): (B, C), float32."""
    return _Mean.apply(features)


class _Mean(torch.autograd.Function):
    """The gradient of the map is one value a channel in the map's own precision, expanded, and never written out."""

    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        context.shape, context.dtype = features.shape, features.dtype
        return features.sum((2, 3, 4), dtype=torch.float32) / features[0, 0].numel()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        share = (gradient / context.shape[2:].numel()).to(context.dtype)
        return share[:, :, None, None, None].expand(context.shape)
