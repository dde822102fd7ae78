"""What needs no network: features that a pretrained encoder should beat before anything is said for it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from workflow_scripts.common.nnunet.arrays import read_case

# Bins of normalised intensity, open at both ends; 0 is the mean of the image set's brains, 1 a standard deviation.
EDGES = np.linspace(-3, 3, 15)


def mask_moments(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return ten numbers of a brain mask, bool (z, y, x): how large it is, where its middle is, and how it lies.

    Voxels; middle (z, y, x) from the corner of the array, in voxels; covariances zz, zy, zx, yy, yx, xx of its voxels'
    places, in voxels². ``image`` is not looked at.
    """
    del image
    places = np.argwhere(brain).astype(float)
    middle = places.mean(axis=0)
    away = places - middle
    spread = [(away[:, a] * away[:, b]).mean() for a, b in combinations_with_replacement(range(3), 2)]
    return np.array([len(places), *middle, *spread])


def hu_histogram(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return the share of the brain's voxels in each bin of intensity, of all channels of (C, z, y, x): (16 C,)."""
    bins = [np.bincount(np.digitize(channel[brain], EDGES), minlength=len(EDGES) + 1) for channel in image]
    return np.concatenate(bins) / brain.sum()


BASELINES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "moments": mask_moments,
    "histogram": hu_histogram,
}


def baseline_features(dataset: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the features (n, features) of every baseline, by its name, of some cases of a dataset."""
    cases: dict[str, list[np.ndarray]] = {name: [] for name in BASELINES}
    for key in keys:
        image, brain = read_case(dataset / "arrays", key)
        for name, features_of in BASELINES.items():
            cases[name].append(features_of(image, brain))
    return {name: np.stack(rows) for name, rows in cases.items()}
