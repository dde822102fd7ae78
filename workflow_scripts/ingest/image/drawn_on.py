"""The images that dcm2niix makes of a scan's own files, on which lesion masks are drawn.

Where slices are tilted or unequally far apart, dcm2niix changes the grid, and for some scans states a place or an
order of slices that is not the true one (rordenlab/dcm2niix issue 259), or shifts them the wrong way. A mask repeats
what that header says, so each image is compared with the acquired pixels, and recorded with the place where its
pixels lie.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack, in_order_of
from workflow_scripts.common.volume import Volume, same_grid
from workflow_scripts.ingest.image.conversion import convert
from workflow_scripts.ingest.image.upright import true_place

SAME_HU = 0.5
TOLERANCE_HU = 8.0  # mean; half a row makes ten, dcm2niix's own interpolation beside padding five
LEANS = (0, 1, 2)


def dcm2niix_grids(stack: Stack, pixels: np.ndarray, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return an entry for each image that dcm2niix makes of ``files`` and whose pixels are found in the scan.

    Array axes (column, row, slice), RAS+, mm: ``shape`` and ``affine`` as dcm2niix states them; ``true_affine`` where
    they lie, or None for the acquired slices themselves, which are ``reversed`` or not. Empty for a regular grid, of
    which dcm2niix makes one image with a true header. ``pixels`` are the acquired ones, HU, in the order of the stack.
    """
    if stack.orthogonal and stack.equal_gaps:
        return []
    try:
        outputs = convert(files)
    except InputError:  # files that only their plain copies make readable for dcm2niix: nobody drew on such an image
        return []
    found = (_grid(stack, pixels, output.volume) for output in outputs if output.volume.data.ndim == 3)
    return [grid for grid in found if grid]


def _grid(stack: Stack, pixels: np.ndarray, volume: Volume) -> dict[str, Any] | None:
    image = in_order_of(stack, volume)
    stated = {"shape": list(image.data.shape), "affine": image.affine.tolist()}
    if image.data.shape == stack.shape:
        for backwards in (False, True):
            if np.allclose(_turned(image.data, backwards), pixels, rtol=0, atol=SAME_HU):
                return stated | {"true_affine": None, "reversed": backwards}
    placed = true_place(stack, pixels, image, TOLERANCE_HU, LEANS)
    return placed and stated | {"true_affine": placed.volume.affine.tolist(), "reversed": False}


def find_grid(mask: Volume, grids: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the entry of `dcm2niix_grids` whose header a mask, in the order of the stack, repeats."""
    for grid in grids:
        if mask.data.shape == tuple(grid["shape"]) and same_grid(mask, Volume(mask.data, np.array(grid["affine"]))):
            return grid
    return None


def in_true_place(mask: Volume, grid: Mapping[str, Any], stack: Stack) -> Volume:
    """Return a mask in the order of the stack with the header that its grid should have had."""
    affine = stack.affine if grid["true_affine"] is None else np.array(grid["true_affine"])
    return Volume(_turned(mask.data, grid["reversed"]), affine)


def _turned(data: np.ndarray, backwards: bool) -> np.ndarray:
    return data[..., ::-1] if backwards else data
