"""Walking over a data set that may be nested deeper than announced, linked together or partly downloaded."""

import os
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.common.errors import InputError

ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".7z")


def folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder at or below ``root`` with the files in it, sorted; hidden names do not count.

    Links to folders are followed, each folder once. Raises `InputError` for a folder that cannot be read.
    """
    seen = set()
    for parent, below, names in os.walk(root, followlinks=True, onerror=_raise):
        real = Path(parent).resolve()
        below[:] = [] if real in seen else sorted(name for name in below if not name.startswith("."))
        if real not in seen:
            seen.add(real)
            yield Path(parent), [Path(parent, name) for name in sorted(names) if not name.startswith(".")]


def _raise(error: OSError) -> None:
    raise InputError(
        f"A folder of the data set cannot be read ({error.strerror}).", "check its permissions."
    ) from error


def files(root: Path) -> Iterator[Path]:
    """Yield every file below ``root``, folder by folder."""
    for _, here in folders(root):
        yield from here


def is_archive(path: Path) -> bool:
    """Say whether a file is an archive, which was not unpacked; compressed NIfTI is none."""
    return path.name.endswith(ARCHIVES) and not path.name.endswith(".nii.gz")
