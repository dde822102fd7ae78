"""What a file that is no DICOM is, by its first bytes.

Imports the standard library alone: the rules use it, too.
"""

import gzip
import io
import zlib
from pathlib import Path

ARCHIVE, PICTURE, NIFTI, OTHER_IMAGE = "archive", "picture", "NIfTI file", "image in another format"
EMPTY, OTHER = "empty file", "other file"
# What stands at a place of a file, and what that file is.
SIGNATURES = (
    *((0, start, ARCHIVE) for start in (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")),
    *((0, start, ARCHIVE) for start in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")),
    (257, b"ustar", ARCHIVE),
    (0x8001, b"CD001", ARCHIVE),  # ISO 9660, a disc as one file
    *((0, start, PICTURE) for start in (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"%PDF")),
    *((place, magic, NIFTI) for place, magic in ((344, b"n+1\0"), (4, b"n+2\0"))),
    *((0, size, OTHER_IMAGE) for size in (b"\x5c\x01\0\0", b"\0\0\x01\x5c")),  # .hdr of Analyze or a pair of NIfTI
    *((0, start, OTHER_IMAGE) for start in (b"NRRD", b"ObjectType", b"NDims", b"\x89HDF", b"CDF\x01")),
)
MOST_BYTES = 0x8006
GZIP = b"\x1f\x8b"


def kind_of_file(path: Path) -> str:
    """Return one of the kinds above; a compressed NIfTI file is none of the archives."""
    with path.open("rb") as file:
        start = file.read(MOST_BYTES)
    if not start:
        return EMPTY
    if start.startswith(GZIP) and _kind(_unpacked(start)) == NIFTI:
        return NIFTI
    return _kind(start)


def _kind(start: bytes) -> str:
    return next((what for place, sign, what in SIGNATURES if start[place:].startswith(sign)), OTHER)


def _unpacked(start: bytes) -> bytes:
    """Return as many of the first bytes of a gzip file as a header needs; none where it is damaged."""
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(start)).read(352)
    except (OSError, EOFError, zlib.error):
        return b""
