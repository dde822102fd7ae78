"""The images a pretraining sees: preprocessed arrays, opened lazily, with what crops are placed by."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import blosc2
import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv

_REMAKE = "delete the dataset folder and run rule pretrain_dataset again."


class Sliceable(Protocol):
    """An array of shape (C, z, y, x) that is read by slicing."""

    shape: tuple[int, ...]

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a block."""
        ...


@dataclass(frozen=True)
class StoredArray:
    """A blosc2 file read block by block; opened for each read, so that a cohort holds no file descriptors."""

    path: Path
    shape: tuple[int, ...]

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read and decompress the chunks that a block touches."""
        return _open(self.path)[index]


@dataclass(frozen=True)
class Scan:
    """One image.

    Attributes
    ----------
    name, split
        ``cohort/case`` and the side of the split that the patient is on
    image, mirrored
        normalised arrays of shape (C, z, y, x): the image, and its contralateral version on the same grid (None where
        the symmetry augmentation is off)
    box
        first and one past last index of the brain along z, y and x
    brain_area
        number of brain voxels in each slice of the box, shape (box height,)
    background
        normalised value outside the brain, one a channel
    """

    name: str
    split: str
    image: Sliceable
    mirrored: Sliceable | None
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    brain_area: np.ndarray
    background: np.ndarray

    @property
    def box_area(self) -> int:
        """Voxels of one slice of the brain's bounding box."""
        (_, _), (y0, y1), (x0, x1) = self.box
        return (y1 - y0) * (x1 - x0)


@dataclass(frozen=True)
class Cohort:
    """The scans of an image set and, for each of them by name, the SHA-256 of all that was read of it."""

    scans: tuple[Scan, ...]
    digests: Mapping[str, str]

    def of_splits(self, splits: Sequence[str]) -> list[Scan]:
        """Return the scans of some splits, in the order of ``cases.tsv``."""
        return [scan for scan in self.scans if scan.split in splits]


def open_cohort(folder: Path, channels: int, symmetry: bool, threads: int) -> Cohort:
    """Describe every case of a dataset folder (``cases.tsv``, ``arrays/``, ``companions/``).

    Each array is read once, for its bounding box, background and digest; training then reads crops only.

    Raises `InputError` when a case has no array, no brain, or another number of channels than ``channels``.
    """
    rows = read_tsv(folder / "cases.tsv")
    if not rows:
        raise InputError(f"{folder.name}/cases.tsv lists no case.", "check image_sets and the split.")

    def describe(row: dict[str, str]) -> tuple[Scan, str]:
        return _open_scan(folder, row, channels, symmetry)

    with ThreadPoolExecutor(threads) as pool:
        described = list(pool.map(describe, rows))
    return Cohort(tuple(scan for scan, _ in described), {scan.name: digest for scan, digest in described})


def describe_scan(
    name: str, split: str, image: Sliceable, brain: np.ndarray, mirrored: Sliceable | None = None
) -> Scan:
    """Find what crops are placed by.

    Parameters
    ----------
    image, mirrored
        arrays of shape (C, z, y, x)
    brain
        mask of shape (z, y, x); above 0 is brain

    The background is the median outside the brain, or the lowest value where the brain fills the array. Raises
    `InputError` for an empty mask and for shapes that differ.
    """
    shapes = {tuple(image.shape[1:]), brain.shape} | ({tuple(mirrored.shape[1:])} if mirrored is not None else set())
    if len(shapes) != 1:
        raise InputError(f"{name}: image, brain mask and mirrored image differ in shape {shapes}.", _REMAKE)
    inside = brain > 0
    if not inside.any():
        raise InputError(f"{name}: the brain mask is empty.", "look at the case's brain_mask.nii.gz or exclude it.")
    box = tuple(_extent(inside, axis) for axis in range(3))
    values = np.asarray(image[(slice(None),) * 4], np.float32)
    outside = ~inside
    background = np.array(
        [np.median(channel[outside]) if outside.any() else channel.min() for channel in values], np.float32
    )
    area = inside.sum((1, 2))[slice(*box[0])]
    return Scan(name, split, image, mirrored, box, area, background)


def _extent(inside: np.ndarray, axis: int) -> tuple[int, int]:
    others = tuple(a for a in range(3) if a != axis)
    hits = np.flatnonzero(inside.any(others))
    return int(hits[0]), int(hits[-1]) + 1


def _open_scan(folder: Path, row: dict[str, str], channels: int, symmetry: bool) -> tuple[Scan, str]:
    name, key = f"{row['cohort']}/{row['case']}", row["key"]
    paths = [folder / "arrays" / f"{key}.b2nd", folder / "arrays" / f"{key}_seg.b2nd"]
    if symmetry:
        paths.append(folder / "companions" / f"{key}.b2nd")
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise InputError(f"{name}: {', '.join(absent)} not found in {folder.name}.", _REMAKE)
    image, brain, *companion = [StoredArray(path, tuple(_open(path).shape)) for path in paths]
    if image.shape[0] != channels:
        raise InputError(f"{name}: the array has {image.shape[0]} channels, the settings name {channels}.", _REMAKE)
    scan = describe_scan(name, row["split"], image, brain[(slice(0, 1),) + (slice(None),) * 3][0], *companion)
    return scan, _digest(paths)


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _open(path: Path) -> blosc2.NDArray:
    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})
