"""The device that a job computes on: a GPU where one was asked for, or else the best there is."""

import platform
import re
from pathlib import Path

import torch

from workflow_scripts.common.errors import InputError

DRIVER = Path("/proc/driver/nvidia/version")


def find_device(gpus: int) -> torch.device:
    """Return a GPU where there is one, else the CPU.

    Raises `InputError` where ``gpus``, which the job asked for, is above 0 and torch sees none: on a CPU such a job
    would take days, unnoticed.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if gpus:
        raise InputError(f"This job asked for a GPU, and torch sees none: {_reason()}", _remedy())
    return torch.device("cpu")


def _reason() -> str:
    built = torch.version.cuda
    torch_is = f"torch {torch.__version__} is a build for {f'CUDA {built}' if built else 'the CPU alone'}"
    return f"{torch_is}, and the NVIDIA driver on {platform.node()} is {driver_version() or 'not there'}."


def driver_version() -> str | None:
    """Version of the loaded kernel module; None without one."""
    try:
        found = re.search(r"Kernel Module\D*(\d[\d.]*)", DRIVER.read_text())
    except OSError:
        return None
    return found.group(1) if found else None


def _remedy() -> str:
    return (
        "install a torch built for a CUDA that the driver knows (CUDA 13: driver 580 or later, no V100 or P100; CUDA "
        "12.6: driver 560 or later; docs/gpu.md); look that the job was given a GPU (`nvidia-smi`); or set `gpu: 0` "
        "under `resources` to compute on the CPU."
    )
