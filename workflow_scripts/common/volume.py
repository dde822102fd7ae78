"""Three-dimensional images with world coordinates.

Arrays are in the order (x, y, z) of nibabel; an affine maps voxel indices to world coordinates RAS+ in mm. Two images
are always compared, resampled and overlaid through their affines, never by their array indices.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing
from workflow_scripts.common.nifti import read_header, read_nifti

GRID_TOLERANCE_MM = 1e-3
MAKE_AGAIN = "delete it; the same command makes it again."
COPY_AGAIN = "convert or copy the file again."
QUATERNION_ROUNDING = 0.01
SAME_SIZE = 0.01  # relative; headers hold rounded sizes
SAME_AXIS_COSINE = 0.5  # 60 degrees between an axis in qform and in sform: one was rotated to a template, none flipped


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


def load_volume(path: Path | str, dtype: type = np.float32, given: bool = False) -> Volume:
    """Read a three-dimensional NIfTI file to its end; axes of one voxel beyond the third are dropped.

    ``given`` says that a user handed it over; else it was made here, and what is wrong with it is mended by making it
    again. Raises `InputError` when the file is damaged, is not 3-D and grey, holds NaN or infinity, or has an affine
    that is singular, missing, or contradicted by the other affine of the header.
    """
    path = Path(path)
    header, data = read_nifti(path, COPY_AGAIN if given else MAKE_AGAIN, whole_path=not given)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise InputError(f"{path.name} has {data.ndim} dimensions {data.shape}.", "give one 3-D volume.")
    if not np.isfinite(data).all():
        raise InputError(f"{path.name} holds NaN or infinite values.", "export the image again or correct them.")
    return Volume(data.astype(dtype), orientation(header, path.name)[0])


def other_affine(path: Path) -> np.ndarray | None:
    """Return the affine of a NIfTI file that `load_volume` does not use, where it says something else."""
    first, other = orientation(read_header(path), path.name)
    return None if other is None or np.allclose(first, other, rtol=0, atol=GRID_TOLERANCE_MM) else other


def orientation(header: nib.Nifti1Header, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the affine of a NIfTI header, its sform before its qform, and the other one, if it has both.

    A quaternion whose length rounding left a little above 1 is brought back to it; a form that is no affine is left
    out beside one that is (`broken_forms`). Raises `InputError` when there is none, or the axes of the two point
    elsewhere.
    """
    forms = _forms(header)
    if not forms:
        raise InputError(
            f"{name} does not give its orientation (qform and sform codes are 0).",
            "export the image with its geometry; left and right cannot be guessed.",
        )
    regular = [form for form in forms.values() if _is_regular(form)]
    if not regular:
        raise InputError(f"{name} has a singular affine.", "export the image with its geometry.")
    axes = [form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in regular]
    if ((axes[0] * axes[-1]).sum(axis=0) < SAME_AXIS_COSINE).any():
        raise InputError(
            f"{name} has a qform and an sform that contradict each other.",
            "find out which is right (left and right may be swapped), and remove the other.",
        )
    return regular[0], regular[1] if len(regular) > 1 else None


def broken_forms(path: Path) -> list[str]:
    """Return what of a NIfTI header is broken beside what is used.

    ``sform`` or ``qform`` where it is announced and no affine; ``pixdim`` where its voxel sizes contradict the affine.
    """
    header = read_header(path)
    forms = _forms(header)
    broken = [name for name, form in forms.items() if not _is_regular(form)]
    sizes = np.abs(np.array(header["pixdim"][1:4], float))
    used = next((form for form in forms.values() if _is_regular(form)), None)
    if used is not None and not np.allclose(sizes, np.linalg.norm(used[:3, :3], axis=0), rtol=SAME_SIZE, atol=0):
        broken.append("pixdim")
    return broken


def _forms(header: nib.Nifti1Header) -> dict[str, np.ndarray | None]:
    """Return the affines that a header announces, the sform first; None for a quaternion that is none."""
    forms = {}
    if header["sform_code"]:
        forms["sform"] = np.asarray(header.get_sform(), float)
    if header["qform_code"]:
        forms["qform"] = _qform(header)
    return forms


def _is_regular(affine: np.ndarray | None) -> bool:
    return affine is not None and bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 1e-9


def _qform(header: nib.Nifti1Header) -> np.ndarray | None:
    header = header.copy()
    length = np.sqrt(sum(float(header[f"quatern_{part}"]) ** 2 for part in "bcd"))
    if 1 < length < 1 + QUATERNION_ROUNDING:
        for part in "bcd":
            header[f"quatern_{part}"] /= length
    try:
        return header.get_qform()
    except (ValueError, HeaderDataError):
        return None


def save_volume(path: Path | str, volume: Volume, dtype: type | None = None, note: str = "") -> None:
    """Write NIfTI under a temporary name, then rename it; the same volume gives the same bytes.

    Integer types are rounded first. ``note``, at most 79 characters, stands in the header (``descrip``). nibabel's
    gzip header carries no time stamp.
    """
    data = volume.data
    if dtype is not None:
        data = np.rint(data).astype(dtype) if np.issubdtype(dtype, np.integer) else data.astype(dtype)
    image = nib.Nifti1Image(data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=0)
    image.header["descrip"] = note
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
