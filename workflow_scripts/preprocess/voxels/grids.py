"""Isotropic grids and the resampling onto them (paper section 3.2a)."""

import numpy as np
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, resample

SMALLEST_SHARE = 1e-3
MOST_SHEAR = 1e-2


def isotropic_grid(volume: Volume, spacing_mm: float) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return shape and affine (RAS+, mm) of the isotropic grid that starts at the same outer edge as ``volume``.

    The voxels keep the directions of the image's axes. The number of voxels is rounded up, so that the whole image
    is inside; a rest thinner than a thousandth of a voxel is an error of rounding and gets no voxel.

    Raises `InputError` when the axes of ``volume`` are not at right angles (a gantry tilt that was not undone).

    Example
    -------
    >>> thick = Volume(np.zeros((4, 4, 3)), np.diag([1.0, 1.0, 5.0, 1.0]))
    >>> shape, affine = isotropic_grid(thick, 2.0)
    >>> shape, affine[:3, 3].tolist()
    ((2, 2, 8), [0.5, 0.5, -1.5])
    """
    spacing = volume.spacing
    directions = volume.affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > MOST_SHEAR:
        raise InputError(
            "The axes of the image are not at right angles.",
            "give the acquired DICOM series, whose gantry tilt the ingest stage corrects.",
        )
    voxels = np.asarray(volume.data.shape) * spacing / spacing_mm
    shape = tuple(int(count) for count in np.maximum(np.ceil(voxels - SMALLEST_SHARE), 1))
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing_mm
    outer_corner = volume.affine @ [-0.5, -0.5, -0.5, 1]
    affine[:3, 3] = outer_corner[:3] + affine[:3, :3] @ [0.5, 0.5, 0.5]
    return shape, affine


def resample_isotropic(
    volume: Volume, spacing_mm: float, *, antialias: bool, background: float, measured: np.ndarray | None = None
) -> Volume:
    """Sample an image linearly on its isotropic grid.

    Parameters
    ----------
    antialias
        smooth first along the axes that lose resolution, with a Gaussian of 0.25 × (new / old spacing) voxels
        (the authors' code)
    background
        value of voxels whose centre lies outside the image
    measured
        boolean, shape of the image: voxels that hold a measurement. The others then mix into no value, and a voxel
        that is less than half measured becomes ``background``. All of them by default.

    Example
    -------
    >>> thick = Volume(np.full((4, 4, 3), 30.0), np.diag([1.0, 1.0, 5.0, 1.0]))
    >>> fine = resample_isotropic(thick, 1.0, antialias=True, background=-1024)
    >>> fine.data.shape, float(fine.data.min())
    ((4, 4, 15), 30.0)
    """
    if measured is None:
        return _linear(volume, spacing_mm, antialias=antialias, background=background)
    total = _linear(volume.with_data(np.where(measured, volume.data, 0)), spacing_mm, antialias=antialias, background=0)
    share = _linear(volume.with_data(measured), spacing_mm, antialias=antialias, background=0).data
    kept = share >= 0.5
    return total.with_data(np.where(kept, total.data / np.where(kept, share, 1), np.float32(background)))


def coarsened(volume: Volume, spacing_mm: float) -> Volume:
    """Average blocks of whole voxels, as many along each axis as ``spacing_mm`` has room for.

    A grid of ``spacing_mm`` or more stays as it is; voxels that fill no block are left out.

    Example
    -------
    >>> cube = Volume(np.arange(8.0).reshape(2, 2, 2), np.eye(4))
    >>> coarsened(cube, 2.0).data.ravel().tolist()
    [3.5]
    """
    block = np.maximum((spacing_mm / volume.spacing + SMALLEST_SHARE).astype(int), 1)
    blocks = np.array(volume.data.shape) // block
    whole = volume.data[tuple(slice(0, int(size)) for size in blocks * block)]
    data = whole.reshape(np.stack([blocks, block], axis=1).ravel()).mean(axis=(1, 3, 5), dtype=np.float32)
    affine = volume.affine.copy()
    affine[:3, :3] *= block
    affine[:3, 3] += volume.affine[:3, :3] @ ((block - 1) / 2)
    return Volume(data, affine)


def _linear(volume: Volume, spacing_mm: float, *, antialias: bool, background: float) -> Volume:
    shape, affine = isotropic_grid(volume, spacing_mm)
    data = volume.data.astype(np.float32)
    if antialias:
        ratio = spacing_mm / volume.spacing
        data = ndimage.gaussian_filter(data, np.where(ratio > 1 + SMALLEST_SHARE, 0.25 * ratio, 0), mode="nearest")
    return resample(_with_rim(Volume(data, volume.affine)), shape, affine, order=1, background=background)


def _with_rim(volume: Volume) -> Volume:
    """Repeat the outermost voxels once, so that the outer half of an edge voxel has its value, not background."""
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    return Volume(np.pad(volume.data, 1, mode="edge"), affine)
