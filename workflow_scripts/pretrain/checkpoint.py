"""Files of a pretraining: the encoder that other programs load, and the state that a stopped training resumes from."""

import hashlib
import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing
from workflow_scripts.pretrain.student import build_encoder

log = logging.getLogger(__name__)


def save_encoder(path: Path, encoder: nn.Module, description: Mapping[str, Any]) -> None:
    """Write an encoder with all that is needed to rebuild and judge it.

    ``state_dict`` has the keys of the ``encoder`` inside nnU-Net's network, on the CPU in float32; ``description`` adds
    ``architecture``, ``plans``, ``channels``, ``settings``, ``image_set``, ``splits``, ``cases`` and ``code``.
    """
    weights = {name: value.detach().to("cpu", torch.float32).clone() for name, value in encoder.state_dict().items()}
    _save(path, {"state_dict": weights, **description})


def read_encoder(path: Path) -> dict[str, Any]:
    """Read what `save_encoder` wrote; raises `InputError` when the file is something else."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"state_dict", "architecture", "channels"} <= set(content):
        raise InputError(f"{path.name} holds no pretrained encoder.", "give the encoder.pt of a pretraining.")
    return content


def encoder_state(path: Path) -> dict[str, Tensor]:
    """Read the weights only: they load strictly into ``network.encoder`` of nnU-Net's network for the same plans."""
    return read_encoder(path)["state_dict"]


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
    encoder.load_state_dict(content.pop("state_dict"), strict=True)
    return encoder.eval(), content


def code_digest() -> str:
    """SHA-256 of this package's sources: two files with the same digest come from the same code."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


class StateFile:
    """Where a training leaves its state after each epoch.

    The file's name holds a digest of everything that decides the result (settings, images, plans, code), so that a
    training continues only from a state that is its own. Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, digest: str) -> None:
        self.path = None if folder is None else folder / f"{digest[:16]}.pt"

    def load(self) -> dict[str, Any] | None:
        """Return the state of a training that was stopped, or None."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            log.warning("%s is damaged (%s); training starts anew", self.path.name, error)
            return None

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state by a newer one."""
        if self.path is not None:
            _save(self.path, state)

    def discard(self) -> None:
        """Remove the state of a training that has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _save(path: Path, content: Mapping[str, Any]) -> None:
    """Write through memory: torch stores a file's own name inside it, and the temporary name is random."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
