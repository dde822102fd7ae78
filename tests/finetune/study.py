"""A study of small heads on disk, for the tests of finetuning and segmentation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.files import write_tsv
from workflow_scripts.common.volume import Volume, save_volume

SPACING = 6.0
SHAPE = (18, 20, 16)
AFFINE = np.array([[6.0, 0, 0, -50], [0, 6, 0, -60], [0, 0, 6, -30], [0, 0, 0, 1]])
SPLITS = ("train", "train", "train", "validation", "validation", "test")
FEATURES = ["4", "8", "16"]


def write_case(folder: Path, rng: np.random.Generator, lesion: bool = True) -> None:
    """Write the final images of one case: an ellipsoid of brain with a cube of lesion in it."""
    x, y, z = np.indices(SHAPE)
    brain = ((x - 8.5) / 7) ** 2 + ((y - 9.5) / 8) ** 2 + ((z - 7.5) / 6) ** 2 < 1
    mask = np.zeros(SHAPE, bool)
    if lesion:
        low = [4 + int(rng.integers(6)), 6 + int(rng.integers(5)), 5 + int(rng.integers(3))]
        mask[tuple(slice(start, start + 4) for start in low)] = True
        mask &= brain
    ncct = np.where(brain, 32 + rng.normal(0, 3, SHAPE) - 12 * mask, -100)
    mirrored = np.where(brain, ncct[::-1], -100)
    images = {"ncct": ncct, "mirrored": mirrored, "difference": np.where(brain, mirrored - ncct, 0)}
    for name, data in images.items():
        save_volume(folder / f"{name}.nii.gz", Volume(data, AFFINE), np.float32)
    for name, data in {"brain": brain, "lesion": mask}.items():
        save_volume(folder / f"{name}.nii.gz", Volume(data, AFFINE), np.uint8)


def write_study(root: Path, splits: Sequence[str] = SPLITS, lesion: bool = True) -> list[str]:
    """Write ``preprocess/icoAIS/{case}/`` and ``splits.tsv`` below ``root``; return the names of the cases."""
    cases = [f"I{number:02d}" for number in range(1, len(splits) + 1)]
    for number, case in enumerate(cases):
        write_case(root / "preprocess" / "icoAIS" / case, np.random.default_rng(number), lesion)
    rows = [{"cohort": "icoAIS", "case": case, "split": split} for case, split in zip(cases, splits, strict=True)]
    write_tsv(root / "splits.tsv", rows, ("cohort", "case", "split"))
    return cases


def dataset_options(root: Path, out: Path, channels: Sequence[str] = ("ncct",)) -> list[str]:
    """Options that the preparation of both kinds of datasets takes."""
    return [
        *("--splits", str(root / "splits.tsv"), "--preprocess", str(root / "preprocess")),
        *("--channels", *channels, "--spacing", str(SPACING), "--gpu-memory", "8", "--features", *FEATURES),
        *("--out", str(out)),
    ]
