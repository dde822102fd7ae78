"""Three-dimensional images with world coordinates.

Arrays are in the order (x, y, z) of nibabel; an affine maps voxel indices to world coordinates RAS+ in mm. Two images
are always compared, resampled and overlaid through their affines, never by their array indices.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing

GRID_TOLERANCE_MM = 1e-3
COPY_AGAIN = "convert or copy the file again."
MOST_VOXELS = 2**31  # a CT of the whole body has a tenth of this; a header that gives more is damaged
SAME_AXIS_COSINE = 0.5  # 60 degrees between an axis in qform and in sform; a rotation to a template stays below it


@dataclass(frozen=True)
class Volume:
    """An image: ``data`` of shape (x, y, z) and ``affine`` 4×4, voxel index to RAS+ in mm (shear allowed).

    Example
    -------
    >>> volume = Volume(np.zeros((4, 5, 6)), np.diag([2.0, 2.0, 5.0, 1.0]))
    >>> volume.spacing.tolist(), round(volume.voxel_ml, 3)
    ([2.0, 2.0, 5.0], 0.02)
    """

    data: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distance in mm between neighbouring voxels along each array axis, shape (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)

    def with_data(self, data: np.ndarray) -> "Volume":
        """Return another image on the same grid."""
        if data.shape != self.data.shape:
            raise ValueError(f"shape {data.shape} does not fit the grid {self.data.shape}")
        return Volume(data, self.affine)


def load_volume(path: Path | str, dtype: type = np.float32) -> Volume:
    """Read a three-dimensional NIfTI file.

    Raises `InputError` when the file cannot be read, is not 3-D and grey, holds NaN or infinity, or has an affine that
    is singular, missing, or contradicted by the other affine of the header.
    """
    path = Path(path)
    try:
        image = nib.load(path)
        _require_possible_size(image.shape, path.name)
        data = np.asarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        empty = path.is_file() and not path.stat().st_size
        reason = "it is empty" if empty else " ".join(str(error).split())
        raise InputError(f"{path.name} cannot be read as NIfTI ({reason}).", COPY_AGAIN) from error
    if data.dtype.fields or np.iscomplexobj(data):
        raise InputError(f"{path.name} holds colours or complex numbers.", "give an image with one number a voxel.")
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise InputError(f"{path.name} has {data.ndim} dimensions {data.shape}.", "give one 3-D volume.")
    if not np.isfinite(data).all():
        raise InputError(f"{path.name} holds NaN or infinite values.", "export the image again or correct them.")
    affine = np.asarray(image.affine, float)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path.name} has a singular affine.", "export the image with its geometry.")
    _require_orientation(image, path.name)
    return Volume(data.astype(dtype), affine)


def _require_possible_size(shape: tuple[int, ...], name: str) -> None:
    """Raise `InputError` when a header gives no voxels, or more than any scan has."""
    if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > MOST_VOXELS:
        raise InputError(f"{name} has a damaged header: it gives a size of {shape} voxels.", COPY_AGAIN)


def _require_orientation(image: nib.spatialimages.SpatialImage, name: str) -> None:
    """Raise `InputError` when a NIfTI header has neither qform nor sform, or when the two contradict each other."""
    if not isinstance(image, nib.Nifti1Pair):
        return
    affines = [affine for affine, code in (image.get_qform(coded=True), image.get_sform(coded=True)) if code]
    if not affines:
        raise InputError(
            f"{name} does not give its orientation (qform and sform codes are 0).",
            "export the image with its geometry; left and right cannot be guessed.",
        )
    axes = [affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) for affine in affines]
    if ((axes[0] * axes[-1]).sum(axis=0) < SAME_AXIS_COSINE).any():
        raise InputError(
            f"{name} has a qform and an sform that contradict each other.",
            "find out which is right (left and right may be swapped), and remove the other.",
        )


def save_volume(path: Path | str, volume: Volume, dtype: type | None = None) -> None:
    """Write NIfTI under a temporary name, then rename it; the same volume gives the same bytes.

    Integer types are rounded first. nibabel's gzip header carries no time stamp.
    """
    data = volume.data
    if dtype is not None:
        data = np.rint(data).astype(dtype) if np.issubdtype(dtype, np.integer) else data.astype(dtype)
    image = nib.Nifti1Image(data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=0)
    with replacing(path) as temporary:
        nib.save(image, temporary)


def to_ras(volume: Volume) -> Volume:
    """Flip and swap the array axes so that they run closest to right, anterior, superior.

    Example
    -------
    >>> leftwards = Volume(np.arange(3.0).reshape(3, 1, 1), np.diag([-1.0, 1.0, 1.0, 1.0]))
    >>> to_ras(leftwards).data.ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    image = nib.as_closest_canonical(nib.Nifti1Image(volume.data, volume.affine))
    return Volume(np.asarray(image.dataobj), np.asarray(image.affine, float))


def same_grid(first: Volume, second: Volume) -> bool:
    """Say whether two images share shape and affine (within 1e-3 mm).

    Example
    -------
    >>> same_grid(Volume(np.zeros((2, 2, 2)), np.eye(4)), Volume(np.zeros((2, 2, 2)), 2 * np.eye(4)))
    False
    """
    return first.data.shape == second.data.shape and bool(
        np.allclose(first.affine, second.affine, rtol=0, atol=GRID_TOLERANCE_MM)
    )


def require_same_grid(first: Volume, second: Volume, first_name: str, second_name: str) -> None:
    """Raise `InputError` when two images that must share a grid do not."""
    if not same_grid(first, second):
        raise InputError(
            f"{second_name} {second.data.shape} is not on the grid of {first_name} {first.data.shape} "
            "(shape or affine differ).",
            f"give {second_name} on the grid of {first_name}, or correct lesion_space in the case sheet.",
        )


def resample(
    volume: Volume,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    order: int,
    background: float,
    to_source: np.ndarray | None = None,
) -> Volume:
    """Sample an image on another grid.

    Parameters
    ----------
    shape, affine
        the wanted grid; RAS+, mm
    order
        1 for linear interpolation, 0 for nearest neighbour (masks)
    background
        value outside the image
    to_source
        4×4 affine from world coordinates of the wanted grid to those of ``volume`` (RAS+, mm); identity by default

    Example
    -------
    >>> ramp = Volume(np.arange(3.0).reshape(3, 1, 1), np.eye(4))
    >>> finer = np.diag([0.5, 1.0, 1.0, 1.0])
    >>> resample(ramp, (5, 1, 1), finer, order=1, background=0).data.ravel().tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    world = np.eye(4) if to_source is None else to_source
    index = np.linalg.inv(volume.affine) @ world @ affine
    data = volume.data if order == 0 else volume.data.astype(np.float32, copy=False)
    sampled = ndimage.affine_transform(
        data, index[:3, :3], index[:3, 3], output_shape=shape, order=order, mode="grid-constant", cval=background
    )
    return Volume(sampled, np.asarray(affine, float))
