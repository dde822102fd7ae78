"""Projection heads (paper 3.4): from a stage's feature map to K prototypes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.pretrain.settings import Head


class ProjectionHead(nn.Module):
    """Global average pool, MLP, L2 normalisation and a weight-normalised linear layer.

    The MLP has two hidden layers with batch normalisation and GELU and a bare output of ``bottleneck`` values. The
    rows of the last layer have unit length (the gain of its weight normalisation is fixed at 1, as in DINO, Caron et
    al. 2021), so logits are cosines between the embedding and K prototypes.

    Parameters
    ----------
    features
        channels of the stage's feature map
    sizes
        hidden units, bottleneck and prototypes
    """

    def __init__(self, features: int, sizes: Head) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(features, sizes.hidden),
            nn.BatchNorm1d(sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.BatchNorm1d(sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Linear(sizes.bottleneck, sizes.prototypes, bias=False).weight

    def embed(self, features: Tensor) -> Tensor:
        """Map a feature map (B, C, z, y, x) to the output of the MLP, (B, bottleneck), float32."""
        return self.mlp(features.mean((2, 3, 4), dtype=torch.float32)).float()

    def forward(self, features: Tensor) -> Tensor:
        """Map a feature map (B, C, z, y, x) to logits (B, K) in -1..1, float32 also under autocast.

        The logits are divided by temperatures down to 0.04, which half precision would not survive.
        """
        embedding = self.embed(features)
        with torch.autocast(embedding.device.type, enabled=False):
            return F.linear(F.normalize(embedding, dim=1), F.normalize(self.prototypes, dim=1))
