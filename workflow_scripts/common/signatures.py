"""What a file that is no DICOM is, by its first bytes.

Imports the standard library alone: the rules use it, too.
"""

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
    *((344, magic, NIFTI) for magic in (b"n+1\0", b"ni1\0")),
    *((4, magic, NIFTI) for magic in (b"n+2\0", b"ni2\0")),
    *((0, start, OTHER_IMAGE) for start in (b"NRRD", b"ObjectType", b"NDims", b"\x89HDF", b"CDF\x01")),
)
MOST_BYTES = 0x8006


def kind_of_file(path: Path) -> str:
    """Return one of the kinds above; a compressed NIfTI file is told from other archives by its name."""
    with path.open("rb") as file:
        start = file.read(MOST_BYTES)
    if not start:
        return EMPTY
    if path.name.lower().endswith(".nii.gz"):
        return NIFTI
    return next((what for place, sign, what in SIGNATURES if start[place:].startswith(sign)), OTHER)
