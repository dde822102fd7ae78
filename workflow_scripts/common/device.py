"""Where networks are computed."""

import torch

from workflow_scripts.common.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device asked for; `auto` is the GPU where there is one. Raises `InputError` for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("No GPU can be used here.", "give --device cpu, or run where there is one.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
