"""The upright volume of a scan, held to the positions that its DICOM headers state."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workflow_scripts.common.stack import Stack, in_order_of, sample, upright_grid
from workflow_scripts.common.volume import Volume, to_ras

log = logging.getLogger(__name__)

CHECKED_SLICES = 7
TOLERANCE_HU = 1.0  # mean; rounding to whole HU makes 0.1 to 0.2, a shift by a quarter of a row several


@dataclass(frozen=True)
class Placed:
    """An upright image, how it came to its place, and its mean difference in HU from the acquired pixels."""

    volume: Volume
    method: str
    difference_hu: float


def place(stack: Stack, pixels: np.ndarray, upright: Volume | None, background: float) -> Placed:
    """Return the upright image (RAS+) in its true place: dcm2niix's (`true_place`), or one made here.

    Where dcm2niix's does not agree with the acquired pixels, these are shifted here, linearly, onto the smallest
    upright grid.

    Parameters
    ----------
    pixels
        the acquired pixels, HU, in the order (column, row, slice) of the stack
    upright
        dcm2niix's corrected image, unless it must not be used
    background
        HU outside the acquired slices
    """
    if upright is not None:
        if placed := true_place(stack, pixels, in_order_of(stack, upright)):
            return replace(placed, volume=to_ras(placed.volume))
        log.warning("dcm2niix's image does not show what the headers say; the slices are shifted here.")
    shape, affine = upright_grid(stack)
    image = Volume(sample(stack, pixels, shape, affine, order=1, background=background), affine)
    return Placed(to_ras(image.with_data(np.rint(image.data))), "shifted here", _difference(stack, pixels, image))


def true_place(
    stack: Stack, pixels: np.ndarray, image: Volume, tolerance_hu: float = TOLERANCE_HU, leans: Sequence[int] = (0,)
) -> Placed | None:
    """Return an image by dcm2niix, in the order of the stack, in its true place; None where its pixels are not found.

    dcm2niix shifts each slice of a tilted series along its rows. For one direction of tilt it then writes a wrong
    origin (rordenlab/dcm2niix issue 259), so the image is compared with the acquired pixels at the positions that
    the headers give: as it is, then with the origin that its padding implies. ``leans`` says how its slices may lie:
    0 upright, 1 as acquired, 2 with twice the tilt, as where it shifts them in the wrong direction.
    """
    corrected = [("dcm2niix, origin corrected", _with_true_origin(stack, image, lean)) for lean in leans]
    for method, candidate in [("dcm2niix", image), *corrected]:
        difference = _difference(stack, pixels, candidate)
        if difference <= tolerance_hu:
            return Placed(candidate, method, difference)
    return None


def straighten(volume: Volume, background: float) -> Volume:
    """Shift the slices (third array axis) of a sheared image onto the smallest upright grid; RAS+."""
    stack = Stack.of_grid(volume.data.shape, volume.affine)
    shape, affine = upright_grid(stack)
    return to_ras(Volume(sample(stack, volume.data, shape, affine, order=1, background=background), affine))


def _with_true_origin(stack: Stack, image: Volume, lean: int) -> Volume:
    """Place an image, in the order of the stack, where its pixels say that it lies (``lean`` as in `true_place`).

    dcm2niix pads with whole rows and leaves the slice that lies farthest along the rows at their end.
    """
    padding = image.data.shape[1] - stack.rows
    drift = stack.drift[:, 1]
    gap = abs(image.affine[:3, 2] @ stack.normal)
    affine = np.array(image.affine)
    affine[:3, 2] = gap * (stack.normal + lean * drift[-1] / stack.heights[-1] * stack.row_step)
    affine[:3, 3] = stack.origins[0] + (((1 - lean) * drift).max() - padding) * stack.row_step
    return Volume(image.data, affine)


def _difference(stack: Stack, pixels: np.ndarray, image: Volume) -> float:
    """Return the mean absolute difference to the acquired pixels, infinite where the grids cannot be compared."""
    steps = np.stack([stack.column_step, stack.row_step], axis=1)
    field = np.array([stack.columns, stack.rows]) * np.abs(image.affine[:3, :2] - steps).max(axis=0)
    if (field > 0.5 * np.linalg.norm(steps, axis=0)).any():
        return float("inf")
    slices = np.unique(np.linspace(0, image.data.shape[2] - 1, CHECKED_SLICES).round().astype(int))
    grid = (image.data.shape, image.affine)
    wanted = sample(stack, pixels, *grid, order=1, background=0, slices=slices)
    covered = sample(stack, np.ones(stack.shape, np.float32), *grid, order=1, background=0, slices=slices) > 0.999
    if covered.mean() < 0.25:
        return float("inf")
    return float(np.abs(wanted - image.data[..., slices])[covered].mean())
