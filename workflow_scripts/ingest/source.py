"""What a path of the case sheet stands for."""

from pathlib import Path

from workflow_scripts.common.errors import InputError

NIFTI = (".nii", ".nii.gz")
SIDECARS = (".json", ".bval", ".bvec", ".txt")


def locate(path: Path, image: str, column: str) -> Path:
    """Return a NIfTI file, or the folder of a DICOM study.

    A folder with one NIfTI file, and nothing else but its sidecars, stands for that file. Raises `InputError`, naming
    ``image`` and the ``column`` of the case sheet, when there is nothing, it cannot be read, or it holds
    several NIfTI files.
    """
    try:
        return _locate(path, image, column)
    except PermissionError as error:
        raise InputError(
            f"The {image} {str(path)!r} cannot be read ({error.strerror}).", "change its permissions."
        ) from error


def _locate(path: Path, image: str, column: str) -> Path:
    if not path.exists():
        raise InputError(f"The {image} {str(path)!r} does not exist.", f"correct column {column} of the case sheet.")
    if not path.is_dir():
        return path
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    images = [file for file in files if file.name.endswith(NIFTI)]
    if not images or any(not file.name.endswith((*NIFTI, *SIDECARS)) for file in files):
        return path
    if len(images) > 1:
        raise InputError(
            f"The folder of the {image} holds {len(images)} NIfTI files.", f"name one file in column {column}."
        )
    return images[0]
