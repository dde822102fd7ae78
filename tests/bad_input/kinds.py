"""What a kind of bad input is; what the user reads for each stands in docs/bad_input.md."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Kind:
    """A kind of bad input.

    ``make`` writes it at a path that is free, or beside it, and returns the path that the user gives; that path ends
    in ``suffix``. ``options`` are added to the command line that gets it.
    """

    name: str
    make: Make
    options: tuple[str, ...] = ()
    suffix: str = ""


def nifti(name: str, make: Make, *options: str, suffix: str = ".nii.gz") -> Kind:
    """A kind of bad NIfTI file."""
    return Kind(name, make, options, suffix)
