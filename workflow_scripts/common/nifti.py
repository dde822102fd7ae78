"""NIfTI files, read to their last byte.

nibabel stops where the header says that the voxels end, so it never meets gzip's checksum, and loads a file with a
flipped bit, or with more or fewer voxels than its header announces. Here the whole file is read and held to its header.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import require_regular

MOST_VOXELS = 2**28  # 1024 × 1024 × 256; a CT of a head has a third of them at most
MOST_ALONG = 1024  # voxels along an axis of a scan that is whole and too large
MOST_HEADER_BYTES = 2**20  # extensions included
DEFLATE_RATIO = 1032  # no deflated byte stands for more
GZIP_MAGIC = b"\x1f\x8b"
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
ONE_NUMBER = "give an image with one number a voxel."
COMPRESSED, NO_HEADER = "it is compressed, unlike its name", "it has no NIfTI header"
DAMAGE = (OSError, EOFError, ValueError, OverflowError, zlib.error, HeaderDataError, WrapStructError)


def read_nifti(path: Path, again: str, whole_path: bool = False) -> tuple[nib.Nifti1Header, np.ndarray]:
    """Return header and scaled voxels (in the shape of the header) of a .nii or .nii.gz file.

    Raises `InputError` with the remedy ``again`` unless gzip's checksum and length hold, and the file ends with the
    last voxel that its header announces; an impossible size is refused before anything is allocated. The message names
    the file, or its ``whole_path``, which in a given one may say who the patient is.
    """
    name = path if whole_path else path.name
    try:
        with _opened(path) as stream:
            header = _header(stream)
            shape, dtype, start = header.get_data_shape(), header.get_data_dtype(), header.get_data_offset()
            _require_possible(path, name, shape, dtype, start, again)
            wanted = int(np.prod(shape)) * dtype.itemsize
            stream.seek(start)
            voxels = bytearray(wanted)
            found = stream.readinto(voxels)
            surplus = len(stream.read(1))
        slope, intercept = header.get_slope_inter()
    except PermissionError:
        raise
    except DAMAGE as error:
        raise InputError(f"{name} cannot be read as NIfTI ({_reason(path, error)}).", again) from None
    if found != wanted or surplus:
        amount = "fewer" if found != wanted else "more"
        raise InputError(f"{name} is damaged: it has {amount} voxels than its header announces.", again)
    raw = np.ndarray(shape, dtype, buffer=voxels, order="F")
    return header, apply_read_scaling(raw, slope, intercept)


def read_header(path: Path) -> nib.Nifti1Header:
    """Return the header of a file that `read_nifti` has read."""
    with _opened(path) as stream:
        return _header(stream)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open for reading, decompressed where the name says so; reading past the end checks gzip's checksum."""
    require_regular(path)
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked, 2**20) as stream:
                yield stream
        else:
            if file.read(2) == GZIP_MAGIC:
                raise ValueError(COMPRESSED)
            file.seek(0)
            yield file


def _header(stream: BinaryIO) -> nib.Nifti1Header:
    start = stream.peek(4)[:4]
    for order in ("little", "big"):
        if header_class := HEADERS.get(int.from_bytes(start, order)):
            with LoggingOutputSuppressor():  # it would quote the header
                header = header_class(stream.read(header_class.template_dtype.itemsize))
            single = header["magic"].item().startswith(b"n+")
            if not single or header["bitpix"] != 8 * header.get_data_dtype().itemsize:
                raise HeaderDataError
            return header
    raise ValueError(NO_HEADER)


def _require_possible(
    path: Path, name: Path | str, shape: tuple[int, ...], dtype: np.dtype, start: int, again: str
) -> None:
    """Raise `InputError` when a header announces no voxels, more than any scan has, or more than the file can hold."""
    voxels = np.prod(shape, dtype=float) if shape and min(shape) > 0 else 0
    if voxels > MOST_VOXELS and max(shape) <= MOST_ALONG:
        raise InputError(
            f"{name} has {voxels:.3g} voxels, more than the {MOST_VOXELS:.3g} that are read.",
            "give the scan with thicker slices or larger pixels.",
        )
    if not 0 < voxels <= MOST_VOXELS or not 0 <= start <= MOST_HEADER_BYTES:
        raise InputError(f"{name} has a damaged header: it gives a size of {shape} voxels.", again)
    if dtype.fields or dtype.kind not in "iuf":
        raise InputError(f"{name} holds colours or complex numbers.", ONE_NUMBER)
    most = path.stat().st_size * (DEFLATE_RATIO if path.name.lower().endswith(".gz") else 1)
    if voxels * dtype.itemsize > most:
        raise InputError(f"{name} is damaged: it has fewer voxels than its header announces.", again)


def _reason(path: Path, error: Exception) -> str:
    """Say what is wrong in words that quote nothing of the file."""
    if not path.stat().st_size:
        return "it is empty"
    match error:
        case EOFError():
            return "it is cut off"
        case gzip.BadGzipFile() | zlib.error():
            return "its compressed data are damaged"
        case OSError():
            return error.strerror or "it is damaged"
        case ValueError(args=(str(words),)) if words in (COMPRESSED, NO_HEADER):
            return words
        case _:
            return "its header is damaged"
