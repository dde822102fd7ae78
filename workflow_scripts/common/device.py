"""The device that a job computes on: what it asked for, and nothing else."""

import re
from pathlib import Path

import torch

from workflow_scripts.common.errors import InputError

DRIVER = Path("/proc/driver/nvidia/version")
_REMEDY = (
    "look that the job was given a GPU (`nvidia-smi`); install a torch built for a CUDA that the driver knows (CUDA "
    "13: driver 580 or later, no V100 or P100; CUDA 12: 525 or later; docs/gpu.md); or compute on the CPU: --cpu "
    "for a new patient; in a study, `gpu: 0` under `resources`."
)


def choose_device(gpus: int) -> torch.device:
    """Return the GPU for a job that asked for ``gpus``, the CPU for none; called before anything large is read.

    Raises `InputError` where one was asked for and torch sees none: on a CPU such a job would take days, unnoticed; and
    where torch sees fewer, or was not built for the card, which else shows in the first step alone.
    """
    if not gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError(f"This job asked for a GPU, and torch sees none: {_reason()}", _REMEDY)
    if (seen := torch.cuda.device_count()) < gpus:
        raise InputError(
            f"This job asked for {gpus} GPUs, and torch sees {seen}.",
            "look what the job was given (`nvidia-smi`, CUDA_VISIBLE_DEVICES); in a study, lower `gpu` of `resources`.",
        )
    if not _built_for(*(capability := torch.cuda.get_device_capability())):
        name = f"{torch.cuda.get_device_name()}, compute capability {capability[0]}.{capability[1]}"
        raise InputError(f"This torch was not built for the GPU ({name}): {_reason()}", _REMEDY)
    return torch.device("cuda")


def _built_for(major: int, minor: int) -> bool:
    """Whether torch has code for a card: of its generation and not newer (sm), or to be compiled for it (compute)."""
    built = re.findall(r"\b(sm|compute)_(\d+)", " ".join(torch.cuda.get_arch_list()))
    card = 10 * major + minor
    return not built or any(
        int(number) <= card and (kind == "compute" or int(number) // 10 == major) for kind, number in built
    )


def device_name(device: torch.device) -> str:
    """Return what a training records of its device: the model of the GPU, or ``CPU``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _reason() -> str:
    built = torch.version.cuda
    torch_is = f"torch {torch.__version__} is a build for {f'CUDA {built}' if built else 'the CPU alone'}"
    return f"{torch_is}, and the NVIDIA driver on this machine is {driver_version() or 'missing'}."


def driver_version() -> str | None:
    """Version of the loaded kernel module; None without one."""
    try:
        found = re.search(r"\b\d{3,}\.[\d.]+", DRIVER.read_text("utf-8"))
    except OSError:
        return None
    return found.group() if found else None
