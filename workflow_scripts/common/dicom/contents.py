"""What the files are that lie in a DICOM folder and hold no image, in words of this program and of the standard."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.uid import UID

from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.errors import InputError

ARCHIVE, PICTURE, NIFTI, OTHER_IMAGE = "archive", "picture", "NIfTI file", "image in another format"
DIRECTORY, EMPTY, OTHER = "directory of a medium (DICOMDIR)", "empty file", "other file"
DAMAGED = "damaged DICOM image"
# What stands at a place of a file, and what that file is.
SIGNATURES = (
    *(
        (0, start, ARCHIVE)
        for start in (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b")
    ),
    *((0, start, ARCHIVE) for start in (b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")),
    (257, b"ustar", ARCHIVE),
    (0x8001, b"CD001", ARCHIVE),  # ISO 9660, a disc as one file
    *((0, start, PICTURE) for start in (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"%PDF")),
    *((344, magic, NIFTI) for magic in (b"n+1\0", b"ni1\0")),
    *((4, magic, NIFTI) for magic in (b"n+2\0", b"ni2\0")),
    *((0, start, OTHER_IMAGE) for start in (b"NRRD", b"ObjectType", b"NDims", b"\x89HDF", b"CDF\x01")),
)
MOST_FILES = 500  # that are looked into
REMEDIES = (
    (DAMAGED, "copy the files again."),
    (ARCHIVE, "unpack the archive, and give the folder that the images of the scan are in."),
    (NIFTI, "name the NIfTI file itself, not its folder."),
    (OTHER_IMAGE, "give the DICOM images, or a NIfTI file."),
    (PICTURE, "give the DICOM images: pictures have neither HU nor geometry."),
    (DIRECTORY, "copy the folders with the images from the medium, too; its directory only lists them."),
)
WHICH_FOLDER = "give the folder that the images of the scan are in."


def without_image(files: Sequence[Path]) -> InputError:
    """Say what a folder holds instead of DICOM images; ``files`` are all that it holds."""
    found = Counter(map(_what, files[:MOST_FILES]))
    known = {what: count for what, count in found.most_common() if what not in (EMPTY, OTHER)}
    shown = ", ".join(f"{count} × {what}" for what, count in known.items())
    problem = "The DICOM folder holds no DICOM image" + (f", only other things: {shown}." if known else ".")
    return InputError(problem, next((remedy for what, remedy in REMEDIES if what in known), WHICH_FOLDER))


def kind_of_file(path: Path) -> str:
    """Return what a file that is no DICOM is by its first bytes; a compressed NIfTI file by its name."""
    with path.open("rb") as file:
        start = file.read(0x8006)
    if not start:
        return EMPTY
    if path.name.lower().endswith(".nii.gz"):
        return NIFTI
    return next((what for place, sign, what in SIGNATURES if start[place:].startswith(sign)), OTHER)


def _what(path: Path) -> str:
    try:
        if not path.is_file():
            return OTHER
        with quiet_pydicom(), opened(path) as file:
            meta = read_dataset(file, ["SOPClassUID"])
    except DAMAGE:
        return kind_of_file(path)
    return _object(meta)


def _object(header: pydicom.Dataset) -> str:
    """Name a DICOM object by its class, as the standard does."""
    uid = UID(str(header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID", "")))
    if uid.name == "Media Storage Directory Storage":
        return DIRECTORY
    if "Image" in uid.name:
        return DAMAGED
    return "other DICOM object" if uid.name == uid else uid.name.removesuffix(" Storage")
