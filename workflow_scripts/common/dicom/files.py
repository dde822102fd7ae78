"""The files of a DICOM folder: which hold images, and whether their pixels are all there."""

import io
import logging
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from workflow_scripts.common.errors import InputError

# What pydicom was seen to raise for damaged files; the words of some quote the value that they complain of.
DAMAGE = (InvalidDicomError, BytesLengthException, EOFError, struct.error, zlib.error, ValueError, TypeError, KeyError)
DAMAGE += (AttributeError, IndexError, NotImplementedError, RecursionError, OverflowError)
PREAMBLE = 128
BARE_STARTS = (b"\x02\x00", b"\x08\x00")  # the group that a data set without preamble begins with
MOST_INFLATED = 2**28  # bytes; an object with 500 slices of 512 × 512 pixels
PADDING = 16  # bytes that a writer may leave after the pixels


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Let pydicom take every value as it is, and let it and highdicom say nothing: they quote what they complain of."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in the order of their names; links to folders are followed, each folder once.

    Raises `InputError` where a folder cannot be opened.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))


def unreadable(error: OSError) -> InputError:
    """Say that a file cannot be read, without its name."""
    return InputError(
        f"A file or folder of the DICOM study cannot be read ({error.strerror}).",
        "check links, permissions and the disk.",
    )


def _raise(error: OSError) -> None:
    raise unreadable(error) from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file so that pydicom reads it: a deflated data set is inflated, to a limit.

    Raises one of `DAMAGE` where it is no DICOM file, and `InputError` where it cannot be read.
    """
    try:
        with _opened(path) as file:
            yield file
    except OSError as error:
        raise unreadable(error) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        start = file.read(PREAMBLE + 16)
        if start[PREAMBLE : PREAMBLE + 4] != b"DICM" and not start.startswith(BARE_STARTS):
            raise InvalidDicomError
        meta = start + file.read(2**11)
        file.seek(0)
        if DeflatedExplicitVRLittleEndian.encode() not in meta:
            yield file
            return
        file.seek(PREAMBLE + 16 + struct.unpack_from("<L", start, PREAMBLE + 12)[0])
        unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), MOST_INFLATED)
    yield io.BytesIO(unpacked)


def read_dataset(file: BinaryIO, tags: Sequence[str | int] | None = None) -> pydicom.Dataset:
    """Read a data set, with the preamble or without: these tags and no pixels, or everything."""
    dataset = pydicom.dcmread(file, force=True, stop_before_pixels=tags is not None, specific_tags=tags)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def pixel_fault(header: pydicom.Dataset, file: BinaryIO, wanted: int | None) -> str:
    """Say what is wrong with the pixels that begin at the file's place, in a word or two; empty where nothing is.

    ``wanted`` is the number of bytes that the header announces for uncompressed pixels. Of those in a syntax that
    DICOM does not know nothing can be said here.
    """
    syntax = UID(header.file_meta.TransferSyntaxUID)
    start, size = file.tell(), file.seek(0, os.SEEK_END)
    if not syntax.is_transfer_syntax or wanted is None:
        return ""
    implicit, little = header.original_encoding
    file.seek(start + (4 if implicit else 8))
    announced = file.read(4)
    if len(announced) < 4:
        return "cut off"
    if syntax.is_encapsulated:
        return "" if _ends_encapsulated(file, size) else "cut off"
    length = struct.unpack("<L" if little else ">L", announced)[0]
    if min(length, size - file.tell()) < wanted:
        return "cut off"
    return "longer than rows × columns" if length > wanted + PADDING else ""


def _ends_encapsulated(file: BinaryIO, size: int) -> bool:
    """Walk over the fragments of compressed pixels: items (FFFE,E000) up to the delimiter (FFFE,E0DD)."""
    while len(start := file.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", start)
        if (group, element) != (0xFFFE, 0xE000):
            return (group, element) == (0xFFFE, 0xE0DD)
        if file.seek(length, os.SEEK_CUR) > size:
            return False
    return False


def numbers(header: pydicom.Dataset, keyword: str | int, count: int) -> np.ndarray | None:
    """Return a numeric field, or None where it is missing or malformed."""
    try:
        value = header[keyword].value if keyword in header else None
        found = np.atleast_1d(np.array(value, float))
    except (TypeError, ValueError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def whole_number(header: pydicom.Dataset, keyword: str | int) -> int | None:
    """Return a field with one number, or None."""
    found = numbers(header, keyword, 1)
    return None if found is None else int(found[0])


@contextmanager
def readable_copies(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the files, each once, those with a deflated data set inflated, which dcm2niix cannot do."""
    with tempfile.TemporaryDirectory() as folder, quiet_pydicom():
        files = list(dict.fromkeys(paths))
        for index, path in enumerate(files):
            with opened(path) as file:
                if isinstance(file, io.BytesIO):
                    files[index] = Path(folder) / f"{index:05d}.dcm"
                    dataset = read_dataset(file)
                    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID")
                    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid()
                    dataset.save_as(files[index], enforce_file_format=True)
        yield files
