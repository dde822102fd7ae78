"""The file of a pretrained encoder, which other programs load."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workflow_scripts.common.files import replacing
from workflow_scripts.common.nnunet.network import load_weights, read_encoder
from workflow_scripts.pretrain.methods.networks import build_encoder


def save_encoder(path: Path, encoder: nn.Module, description: Mapping[str, Any]) -> None:
    """Write an encoder with all that is needed to rebuild and judge it.

    ``state_dict`` has the keys of the ``encoder`` inside nnU-Net's network, on the CPU in float32; beside it stands
    what `workflow_scripts.pretrain.encoder.description.describe` returns.
    """
    weights = {
        name: value.detach().to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)
        for name, value in encoder.state_dict().items()
    }
    # Through JSON, since torch stores two equal texts otherwise when they are one object.
    save_tensors(path, {"state_dict": weights, **json.loads(json.dumps(description))})


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain types with torch; the same content gives the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        # Into a handle: given a path, torch stores its random temporary name in the file.
        torch.save(dict(content), handle)


def load_encoder(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a pretrained encoder.

    Returns
    -------
    tuple
        the encoder in evaluation mode, mapping (B, C, z, y, x) to the feature maps of all stages, and the file's
        content but for the weights
    """
    content = read_encoder(path)
    encoder = build_encoder(content["architecture"], len(content["channels"]))
    load_weights(encoder, content.pop("state_dict"))
    return encoder.eval(), content
