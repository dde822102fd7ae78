"""Learn to find lesions that were pasted in: dark blobs of random shape, size and contrast, in heads without labels.

The network that nnU-Net planned segments them, encoder and decoder, after pretext tasks of pasted or synthetic lesions
(such as Zhang et al. 2023, sim2real); the encoder alone is kept. Nothing is known to it of how phantoms draw infarcts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.pretrain.methods.mae import Reconstruction, pad_to_multiple
from workflow_scripts.pretrain.views.batches import Batch

Inputs = tuple[Tensor, Tensor]
CONTRAST = (0.15, 0.8)  # how much darker, in standard deviations of the brain's voxels
SHARE = (0.01, 0.2)  # of a view
NODES = (3, 4, 4)  # of the random field whose peaks are the blobs, (z, y, x): the coarser, the larger they are
EMPTY = 0.25  # share of views with nothing pasted in
TISSUE = 0.2  # above the darkest voxels, which are background and fluid; in the same unit as the contrast


class PastedLesions(Reconstruction):
    """Of one channel and one process; the loss is nnU-Net's, cross-entropy and Dice of the batch."""

    def inputs(self, batch: Batch) -> Inputs:
        """Return views with blobs (V, 1, z, y, x), and where they are, float of the same shape."""
        views, drawn = batch[0].flipped(), batch[0].parameters
        generator = torch.Generator().manual_seed(drawn.seed)
        field = torch.randn(drawn.batch_views, 1, *NODES, generator=generator)[drawn.rows]
        share, contrast, there = torch.rand(3, drawn.batch_views, 1, generator=generator)[:, drawn.rows]
        field = F.interpolate(field, views.shape[2:], mode="trilinear", align_corners=True).flatten(1)
        places = (share * (SHARE[1] - SHARE[0]) + SHARE[0]) * field.shape[1]
        inside = field.argsort(1, descending=True).argsort(1) < places * (there > EMPTY)
        blobs = inside.view_as(views).to(views) * (views > views.amin() + TISSUE)
        soft = F.avg_pool3d(blobs, 3, 1, 1) * blobs
        depth = CONTRAST[0] + contrast * (CONTRAST[1] - CONTRAST[0])
        return views - soft * depth.to(views)[..., None, None, None], blobs

    def _loss(self, network: nn.Module, inputs: Inputs) -> Tensor:
        views, blobs = inputs
        with self._optimiser.autocast():
            logits = network(pad_to_multiple(views, self._divisor))
        z, y, x = views.shape[2:]
        logits = logits[..., :z, :y, :x].float()
        found = logits.sigmoid()
        dice = (2 * (found * blobs).sum() + 1e-5) / (found.sum() + blobs.sum() + 1e-5)
        return F.binary_cross_entropy_with_logits(logits, blobs) - dice
