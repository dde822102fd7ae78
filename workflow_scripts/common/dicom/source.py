"""What a path of the case sheet stands for."""

from pathlib import Path

from workflow_scripts.common import signatures
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import require_regular
from workflow_scripts.common.signatures import kind_of_file

NIFTI = (".nii", ".nii.gz")
FIRST = {
    signatures.ARCHIVE: "unpack the archive, and ",
    signatures.NIFTI: f"give the file a name that ends in {' or '.join(NIFTI)}, or ",
    signatures.OTHER_IMAGE: "convert the image to NIfTI, or ",
}
SIDECARS = (".json", ".bval", ".bvec", ".txt")
OPTIONS = {"ncct": "; --dicom or --nifti for a single new patient"}  # what stands for a column of the case sheet


def locate(path: Path, image: str, column: str) -> Path:
    """Return a NIfTI file, or the folder of a DICOM study.

    A folder with one NIfTI file, and nothing else but its sidecars, stands for that file. Raises `InputError`, naming
    ``image`` and the ``column`` of the case sheet, when there is nothing, it cannot be read, it is another file, or it
    holds several NIfTI files.
    """
    try:
        return _locate(path, image, column)
    except PermissionError as error:
        raise InputError(
            f"The {image} {str(path)!r} cannot be read ({error.strerror}).", "change its permissions."
        ) from error
    except OSError as error:
        raise InputError(
            f"The {image} {str(path)!r} cannot be read ({error.strerror}).", f"correct {_named(column)}."
        ) from error


def _locate(path: Path, image: str, column: str) -> Path:
    correct = f"correct {_named(column)}."
    if not path.exists():
        if path.is_symlink():
            raise InputError(f"The {image} {str(path)!r} is a link that leads nowhere.", f"mend the link, or {correct}")
        raise InputError(f"The {image} {str(path)!r} does not exist.", correct)
    if not path.is_dir():
        if not path.name.lower().endswith(NIFTI):
            require_regular(path)
            raise InputError(
                f"The {image} {str(path)!r} is neither a folder nor a NIfTI file ({', '.join(NIFTI)}).",
                FIRST.get(kind_of_file(path), "") + "name the folder that the DICOM images are in, or a NIfTI file.",
            )
        require_regular(path)
        path.open("rb").close()
        return path
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    images = [file for file in files if file.name.lower().endswith(NIFTI)]
    if not images or any(not file.name.lower().endswith((*NIFTI, *SIDECARS)) for file in files):
        return path
    if len(images) > 1:
        raise InputError(
            f"The folder of the {image} holds {len(images)} NIfTI files.", f"name one file in {_named(column)}."
        )
    return images[0]


def _named(column: str) -> str:
    return f"column {column} of the case sheet{OPTIONS.get(column, '')}"
