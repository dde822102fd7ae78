"""The methods that can find the brain, under the names that config.yaml gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, resample, to_ras
from workflow_scripts.preprocess.stripping import tissue
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.preprocess.voxels.morphology import largest_component

GIVEN = "given"  # the record of a mask that the case sheet gives
SYNTHETIC = "synthsr+synthstrip"  # looks at a pseudo-T1 of its own; the others share one
NCCT_METHODS = (SYNTHETIC, "synthstrip", "deepbet", "hu")
MRI_METHODS = ("synthstrip", "deepbet", "none")
BRAIN_FROM_PROBABILITY = 0.5


@dataclass(frozen=True)
class StrippingSettings:
    """What the methods need beside the image.

    Attributes
    ----------
    threads
        for the networks
    deepbet_grid
        voxels along each side of the box that deepbet's network sees
    border_mm
        how far SynthStrip's mask reaches beyond the brain's surface
    synthstrip_weights, synthsr_weights
        files of the published networks, where a method runs them
    """

    threads: int
    deepbet_grid: int
    border_mm: float
    synthstrip_weights: Path | None = None
    synthsr_weights: Path | None = None


def weights_digests(method: str, settings: StrippingSettings) -> dict[str, str]:
    """Return the SHA-256 of each file of weights that ``method`` runs, by network."""
    files = {"synthstrip": settings.synthstrip_weights, "synthsr": settings.synthsr_weights}
    return {network: file_digest(files[network]) for network in method.split("+") if files.get(network)}


def pseudo_t1(method: str, ncct: Volume, padded: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    """Return the T1-like image that ``method`` looks at: SynthSR's, or the CT without its bone.

    Parameters as for `ncct_brain`. Returns float32 on the grid of ``ncct``.
    """
    if method == SYNTHETIC:
        return _synthsr(ncct, padded, settings)
    return tissue.pseudo_t1(ncct.data, ncct.spacing, padded)


def ncct_brain(
    method: str, ncct: Volume, image: np.ndarray, padded: np.ndarray, settings: StrippingSettings
) -> np.ndarray:
    """Find the brain in a head CT.

    Parameters
    ----------
    method
        one of `NCCT_METHODS`
    ncct
        HU, axes along right, anterior, superior
    image
        `pseudo_t1` of the same method
    padded
        voxels without a measurement (`tissue.padding`)

    Returns
    -------
    boolean mask, same shape

    Raises
    ------
    InputError
        when the method finds nothing, or a file of weights is not what it should be
    """
    return _require_brain(_NCCT[method](ncct, image, padded, settings), method)


def mri_brain(method: str, mri: Volume, settings: StrippingSettings) -> np.ndarray:
    """Find the brain in a DWI or ADC map; with ``none`` the image is taken as stripped: all but 0 is brain.

    Returns a boolean mask of the same shape. Raises `InputError` when the method finds nothing, or a file of weights
    is not what it should be.
    """
    return _require_brain(_MRI[method](mri, settings), method)


def _require_brain(brain: np.ndarray, method: str) -> np.ndarray:
    if not brain.any():
        raise InputError(
            f"Skull stripping with {method!r} found no brain.",
            "look at the resampled image: it should show a head, a CT in HU; in a study, "
            "preprocess.skull_stripping can name another method.",
        )
    return brain


def _ncct_synthsr(ncct: Volume, image: np.ndarray, padded: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    return _synthstrip(ncct.with_data(image), settings) & ~padded


def _ncct_synthstrip(ncct: Volume, _image: np.ndarray, padded: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    measured = np.where(padded, ncct.data.min(), ncct.data)
    return _synthstrip(ncct.with_data(measured), settings) & ~padded


def _ncct_deepbet(ncct: Volume, image: np.ndarray, padded: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    return tissue.clean(_deepbet(image, settings), ncct.data, ncct.spacing, padded)


def _ncct_threshold(ncct: Volume, _image: np.ndarray, padded: np.ndarray, _settings: StrippingSettings) -> np.ndarray:
    return tissue.brain_by_threshold(ncct.data, ncct.spacing, padded)


def _mri_deepbet(mri: Volume, settings: StrippingSettings) -> np.ndarray:
    return largest_component(_deepbet(mri.data, settings))


def _mri_stripped(mri: Volume, _settings: StrippingSettings) -> np.ndarray:
    return mri.data != 0


# Loading torch takes longer than all that the other methods do: the networks are imported where they are used.


def _deepbet(image: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    from workflow_scripts.preprocess.stripping.deepbet import brain_probability

    return brain_probability(image, settings.deepbet_grid, settings.threads) > BRAIN_FROM_PROBABILITY


def _synthstrip(image: Volume, settings: StrippingSettings) -> np.ndarray:
    from workflow_scripts.preprocess.stripping.synthstrip import brain, load_network

    network = load_network(_require_weights(settings.synthstrip_weights, "synthstrip"))
    return brain(network, image, settings.border_mm, settings.threads)


def _synthsr(ncct: Volume, padded: np.ndarray, settings: StrippingSettings) -> np.ndarray:
    from workflow_scripts.preprocess.stripping.synthsr import load_network, synthetic_t1

    network = load_network(_require_weights(settings.synthsr_weights, "synthsr"))
    floor = float(ncct.data.min())
    measured = ncct.with_data(np.where(padded, floor, ncct.data))
    upright = resample_isotropic(to_ras(measured), 1.0, antialias=True, background=floor)
    found = upright.with_data(synthetic_t1(network, upright.data, settings.threads))
    return resample(found, ncct.data.shape, ncct.affine, order=1, background=0).data


def _require_weights(path: Path | None, network: str) -> Path:
    if path is None:
        raise InputError(f"The weights of {network} are not given.", f"name their file with --{network}-weights.")
    return path


_NCCT: dict[str, Callable[..., np.ndarray]] = {
    SYNTHETIC: _ncct_synthsr,
    "synthstrip": _ncct_synthstrip,
    "deepbet": _ncct_deepbet,
    "hu": _ncct_threshold,
}
_MRI: dict[str, Callable[..., np.ndarray]] = {
    "synthstrip": _synthstrip,
    "deepbet": _mri_deepbet,
    "none": _mri_stripped,
}
