"""Affine transforms as small text files.

On disk a transform is in world coordinates LPS (the convention of DICOM and ITK), in mm, with its direction in the
header; in memory it is RAS+ like every affine here.
"""

from pathlib import Path

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_text

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_affine(path: Path | str, matrix: np.ndarray, source: str, target: str) -> None:
    """Write the 4×4 ``matrix`` (RAS+, mm) that maps points of ``source`` to points of ``target``."""
    lps = RAS_LPS @ matrix @ RAS_LPS
    rows = "\n".join(" ".join(f"{value:.9f}" for value in row) for row in lps)
    write_text(path, f"# affine, world coordinates LPS, mm; maps points of {source} to points of {target}\n{rows}\n")


def read_affine(path: Path | str) -> np.ndarray:
    """Read what `write_affine` wrote; returns the 4×4 matrix in RAS+, mm.

    Example
    -------
    >>> from tempfile import TemporaryDirectory
    >>> right = np.eye(4)
    >>> right[0, 3] = 5.0
    >>> with TemporaryDirectory() as folder:
    ...     write_affine(Path(folder) / "right.txt", right, "the MRI", "the NCCT")
    ...     same = (read_affine(Path(folder) / "right.txt") == right).all()
    ...     line = (Path(folder) / "right.txt").read_text().splitlines()[1]
    >>> bool(same), line.split()[3]
    (True, '-5.000000000')
    """
    matrix = np.loadtxt(path, comments="#")
    if matrix.shape != (4, 4):
        raise InputError(f"{Path(path).name} is not a 4×4 affine.", "delete it; the same command makes it again.")
    return RAS_LPS @ matrix @ RAS_LPS
