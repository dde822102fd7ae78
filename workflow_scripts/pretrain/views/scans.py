"""The images a pretraining sees: preprocessed arrays, opened lazily, with what crops are placed by."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.nnunet.arrays import background_of, open_array, read_array

WHOLE = (slice(None),) * 4
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
        return open_array(self.path)[index]


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

    def in_memory(self) -> Self:
        """Return the same scan with its arrays read, float32."""
        read = [
            None if array is None else np.ascontiguousarray(array[WHOLE], np.float32)
            for array in (self.image, self.mirrored)
        ]
        return replace(self, image=read[0], mirrored=read[1])


@dataclass(frozen=True)
class Cohort:
    """The scans of an image set and, for each of them by name, the SHA-256 of the values of its arrays."""

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
    rows = read_tsv(folder / "cases.tsv", ("cohort", "case", "split", "key"))
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
        true or above 0 in the brain, shape (z, y, x)

    Raises `InputError` for an empty mask, shapes that differ, and values that are no finite numbers.
    """
    brain = np.asarray(brain) > 0
    shapes = {tuple(image.shape[1:]), brain.shape} | ({tuple(mirrored.shape[1:])} if mirrored is not None else set())
    if len(shapes) != 1:
        raise InputError(f"{name}: image, brain mask and mirrored image differ in shape {shapes}.", _REMAKE)
    if not brain.any():
        raise InputError(f"{name}: the brain mask is empty.", "look at the case's brain_mask.nii.gz or exclude it.")
    if not all(np.isfinite(array[WHOLE]).all() for array in (image, mirrored) if array is not None):
        raise InputError(f"{name}: the image holds values that are no finite numbers.", "replace them; " + _REMAKE)
    box = tuple((side.start, side.stop) for side in bounding_box(brain))
    background = background_of(np.asarray(image[WHOLE], np.float32), brain)
    area = brain.sum((1, 2))[slice(*box[0])]
    return Scan(name, split, image, mirrored, box, area, background)


def require_channels(scan: Scan, channels: int) -> None:
    """Raise `InputError` where an image has another number of channels."""
    for array in (scan.image, scan.mirrored):
        if array is not None and array.shape[0] != channels:
            found = f"{scan.name}: the array has {array.shape[0]} channels, the settings name {channels}."
            raise InputError(found, _REMAKE)


def _open_scan(folder: Path, row: dict[str, str], channels: int, symmetry: bool) -> tuple[Scan, str]:
    name, key = f"{row['cohort']}/{row['case']}", row["key"]
    paths = [folder / "arrays" / f"{key}.b2nd", folder / "arrays" / f"{key}_seg.b2nd"]
    if symmetry:
        paths.append(folder / "companions" / f"{key}.b2nd")
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise InputError(f"{name}: {', '.join(absent)} not found in {folder.name}.", _REMAKE)
    (image, brain, *mirrored), digests = zip(*map(read_array, paths), strict=True)
    scan = describe_scan(name, row["split"], image, brain[0], *mirrored)
    require_channels(scan, channels)
    stored = [StoredArray(path, array.shape) for path, array in zip(paths, (image, brain, *mirrored), strict=True)]
    digest = " ".join(digests)
    return replace(scan, image=stored[0], mirrored=stored[2] if symmetry else None), digest
