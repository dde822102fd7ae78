"""A batch whose feature maps do not fit into memory at once: computed in parts, with the gradient of the whole."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_parts(function: Callable[[Tensor], list[Tensor]], views: Tensor, parts: int) -> list[Tensor]:
    """Apply a function of single views to a batch, some of its views at a time.

    Nothing but the results is kept of a part; it is computed again when its gradient is wanted. So what comes after,
    batch normalisation and loss among it, sees the whole batch, and its gradient is that of the whole batch but for
    rounding, in the memory of a part and for one more forward pass. (Added gradients of parts would be those of parts
    that were normalised and compared by themselves.)

    Parameters
    ----------
    function
        of views (v, C, z, y, x), to tensors with v rows each; a row may depend on no other view, so a network with
        batch normalisation is none
    views
        (V, C, z, y, x)
    parts
        at least 1; 1: at once, and nothing is computed again

    Returns
    -------
    list of Tensor
        what the function returns, with V rows each
    """
    if parts == 1:
        return function(views)
    results = [_kept_small(function, part) for part in views.chunk(parts)]
    return [torch.cat(rows) for rows in zip(*results, strict=True)]


def _kept_small(function: Callable[[Tensor], list[Tensor]], part: Tensor) -> list[Tensor]:
    return checkpoint(function, part, use_reentrant=False) if torch.is_grad_enabled() else function(part)


class InParts(nn.Module):
    """A network from (V, C, z, y, x) to a tensor with V rows, that is given some views at a time."""

    def __init__(self, network: nn.Module, parts: int) -> None:
        super().__init__()
        self.network = network
        self.parts = parts

    def forward(self, views: Tensor) -> Tensor:
        """Apply the network as `in_parts` does."""
        (result,) = in_parts(lambda part: [self.network(part)], views, self.parts)
        return result
