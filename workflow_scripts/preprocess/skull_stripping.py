"""The methods that can find the brain, under the names that config.yaml gives them."""

from collections.abc import Callable

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess import tissue
from workflow_scripts.preprocess.morphology import largest_component

NCCT_METHODS = ("synthsr+synthstrip", "synthstrip", "deepbet", "hu")
MRI_METHODS = ("synthstrip", "deepbet", "none")
BRAIN_FROM_PROBABILITY = 0.5


def ncct_brain(method: str, ncct: Volume, padded: np.ndarray, deepbet_grid: int, threads: int) -> np.ndarray:
    """Find the brain in a head CT.

    Parameters
    ----------
    method
        one of `NCCT_METHODS`
    ncct
        HU, axes along right, anterior, superior
    padded
        voxels without a measurement (`tissue.padding`)
    deepbet_grid
        voxels along each side of the box that deepbet's network sees
    threads
        for deepbet

    Returns
    -------
    boolean mask, same shape

    Raises
    ------
    InputError
        when the method is not available or finds nothing
    """
    brain = _choose(_NCCT, method, "ncct")(ncct, padded, deepbet_grid, threads)
    return _require_brain(brain, method)


def mri_brain(method: str, mri: Volume, deepbet_grid: int, threads: int) -> np.ndarray:
    """Find the brain in a DWI or ADC map; with ``none`` the image is taken as stripped: all but 0 is brain.

    Returns a boolean mask of the same shape. Raises `InputError` when the method is not available or finds nothing.
    """
    brain = _choose(_MRI, method, "mri")(mri, deepbet_grid, threads)
    return _require_brain(brain, method)


def _choose(methods: dict[str, Callable[..., np.ndarray]], method: str, image: str) -> Callable[..., np.ndarray]:
    if method not in methods:
        raise InputError(
            f"Skull stripping with {method!r} is not available in this version.",
            f"set preprocess.skull_stripping.{image} to one of: {', '.join(methods)}.",
        )
    return methods[method]


def _require_brain(brain: np.ndarray, method: str) -> np.ndarray:
    if not brain.any():
        raise InputError(
            f"Skull stripping with {method!r} found no brain.",
            "look at the resampled image: it should show a head, a CT in HU; or choose another method in "
            "preprocess.skull_stripping.",
        )
    return brain


def _ncct_deepbet(ncct: Volume, padded: np.ndarray, grid: int, threads: int) -> np.ndarray:
    found = _deepbet(tissue.pseudo_t1(ncct.data, ncct.spacing, padded), grid, threads)
    return tissue.clean(found, ncct.data, ncct.spacing, padded)


def _ncct_threshold(ncct: Volume, padded: np.ndarray, _grid: int, _threads: int) -> np.ndarray:
    return tissue.brain_by_threshold(ncct.data, ncct.spacing, padded)


def _mri_deepbet(mri: Volume, grid: int, threads: int) -> np.ndarray:
    return largest_component(_deepbet(mri.data, grid, threads))


def _mri_stripped(mri: Volume, _grid: int, _threads: int) -> np.ndarray:
    return mri.data != 0


def _deepbet(image: np.ndarray, grid: int, threads: int) -> np.ndarray:
    # Loading torch takes longer than all that the other methods do.
    from workflow_scripts.preprocess.deepbet import brain_probability

    return brain_probability(image, grid, threads) > BRAIN_FROM_PROBABILITY


_NCCT = {"deepbet": _ncct_deepbet, "hu": _ncct_threshold}
_MRI = {"deepbet": _mri_deepbet, "none": _mri_stripped}
