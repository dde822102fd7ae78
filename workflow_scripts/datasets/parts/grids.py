"""Which image a mask in a NIfTI file was drawn on, by the grids in their headers."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, to_ras

SAME_PIXELS = 0.5  # of the smallest voxel side; headers round


@dataclass(frozen=True)
class Grid:
    """Shape and affine (voxel to RAS+, mm) of an image whose array axes run closest to right, anterior, superior."""

    shape: tuple[int, ...]
    affine: np.ndarray

    def holds(self, other: "Grid") -> bool:
        """Say whether every voxel of the other grid lies, within half a voxel, on the one of the same index here."""
        if self.shape != other.shape:
            return False
        corners = np.array([[*corner, 1] for corner in itertools.product(*((0, n - 1) for n in self.shape))])
        apart = np.linalg.norm((corners @ (self.affine - other.affine).T)[:, :3], axis=1)
        return bool(apart.max() < SAME_PIXELS * np.linalg.norm(self.affine[:3, :3], axis=0).min())


def grid_of(path: Path) -> Grid:
    """Read the grid of a NIfTI file from its header; raises `InputError` where it cannot be read or is not 3-D."""
    try:
        image = nib.load(path)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
        raise InputError(f"{path.name} cannot be read as NIfTI.", "download the file again.") from None
    shape = image.shape[:3] if image.shape[3:] in ((), (1,), (1, 1)) else image.shape
    if len(shape) != 3 or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise InputError(f"{path.name} is no 3-D image with a geometry.", "download the file again.")
    orientation = nib.io_orientation(image.affine)
    affine = image.affine @ nib.orientations.inv_ornt_aff(orientation, shape)
    return Grid(tuple(int(shape[np.flatnonzero(orientation[:, 0] == axis)[0]]) for axis in range(3)), affine)


def drawn_on(mask: Path, images: Mapping[str, Path]) -> str | None:
    """Return the key of the first image that has the grid of the mask, or None."""
    grid = grid_of(mask)
    return next((key for key, image in images.items() if grid_of(image).holds(grid)), None)


def onto(mask: Volume, image: Path) -> Volume:
    """Give a mask exactly the grid of the image that it was drawn on (`drawn_on`), free of its header's rounding."""
    return Volume(to_ras(mask).data, grid_of(image).affine)
