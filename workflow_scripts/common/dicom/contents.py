"""What the files are that lie in a DICOM folder and hold no image, in words of this program and of the standard."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.uid import UID

from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.signatures import ARCHIVE, EMPTY, NIFTI, OTHER, OTHER_IMAGE, PICTURE, kind_of_file

DIRECTORY = "directory of a medium (DICOMDIR)"
DAMAGED = "damaged DICOM image"
MOST_FILES = 500  # that are looked into
REMEDIES = (
    (DAMAGED, "copy the files again."),
    (ARCHIVE, "unpack the archive, and give the folder that the images of the scan are in."),
    (NIFTI, "name the NIfTI file itself, not its folder."),
    (OTHER_IMAGE, "give the DICOM images, or convert the image to NIfTI (.nii, .nii.gz)."),
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
