"""The two networks of deepbet (Fisch et al. 2024), run from the files in its wheel.

Importing the package itself would start a GUI toolkit; only its weights (TorchScript) are used here.
"""

import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from workflow_scripts.common.errors import InputError
from workflow_scripts.preprocess.voxels.morphology import largest_component

LOCATOR_GRID = 128
LOCATOR_LEAST_SHARE = 0.02
BOX_MARGIN = 0.1
CLIP_QUANTILES = (0.005, 0.995)
MEAN, DEVIATION = 0.449, 0.226


def brain_probability(image: np.ndarray, grid: int, threads: int) -> np.ndarray:
    """Return the probability of brain, float32, same shape as ``image`` (x, y, z along right, anterior, superior).

    A first network finds the box of the brain on a grid of 128³ voxels; a second looks at the box, stretched to
    ``grid``³ voxels (256 as trained; memory and time grow with its cube).

    Raises `InputError` when the first network sees no brain.
    """
    torch.set_num_threads(threads)
    tensor = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    with torch.inference_mode():
        small = _stretched(tensor, (LOCATOR_GRID,) * 3)
        low, high = np.quantile(small.numpy(), CLIP_QUANTILES)
        if not high > low:
            raise _no_brain()
        found = _load("bbox_model.pt")(_normalised(small, low, high))[0, 1].numpy() > 0.5
        box = _box(largest_component(found), image.shape)
        inside = tensor[(..., *box)]
        probability = _load("model.pt")(_normalised(_stretched(inside, (grid,) * 3), low, high))[:, 1:2]
        result = np.zeros(image.shape, np.float32)
        result[box] = _stretched(probability, inside.shape[2:])[0, 0].numpy()
    return result


def _load(name: str) -> torch.jit.ScriptModule:
    for file in importlib.metadata.files("deepbet") or []:
        if Path(file).name == name:
            return torch.jit.load(str(file.locate()), map_location="cpu").eval()
    raise InputError(
        f"the installed package deepbet holds no {name}.", "install the environment again (requirements.txt)."
    )


def _stretched(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return functional.interpolate(tensor, shape, mode="trilinear", align_corners=False)


def _normalised(tensor: torch.Tensor, low: float, high: float) -> torch.Tensor:
    scaled = ((tensor - low) / (high - low)).clamp(0, 1)
    return (scaled - scaled.mean()) / scaled.std() * DEVIATION + MEAN


def _box(found: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the box of a mask on the locator's grid, with a margin, in voxels of the image."""
    box = []
    for axis, size in enumerate(shape):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(found.mean(axis=others) > LOCATOR_LEAST_SHARE)
        if not planes.size:
            raise _no_brain()
        scale = size / found.shape[axis]
        centre = round((planes[-1] + 1 + planes[0]) / 2 * scale)
        half = round((planes[-1] + 1 - planes[0]) * (1 + 2 * BOX_MARGIN) * scale) / 2
        box.append(slice(max(int(centre - half), 0), min(int(np.ceil(centre + half)), size)))
    return tuple(box)


def _no_brain() -> InputError:
    return InputError(
        "deepbet sees no brain in the image.",
        "look at the image: it should be a head; in a study, preprocess.skull_stripping can name another method.",
    )
