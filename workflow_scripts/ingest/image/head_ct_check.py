"""Whether size and values can be those of a head CT in HU."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume

AIR_HU = -200
TRUE_AIR_HU = (-1100, -700)  # -1000 and noise; some scanners are off by 24
TISSUE_HU = (-20, 120)
TRUE_TISSUE_HU = (5, 110)  # brain has 20 to 45, muscle 60, a phantom up to 100
LEAST_SHARE = 0.01
WIDTH_MM = (100, 1000)
WIDEST_GAP_MM = 15.0
FARTHEST_MM = 1e5  # from the scanner's origin; beyond, the single precision of NIfTI headers rounds places visibly


def require_head_size(shape: Sequence[int], spacing: Sequence[float], name: str, widest_gap_mm: float) -> None:
    """Raise `InputError` unless a grid, array axes across, back and up, can hold a head; called before one is made."""
    size = np.array(shape[:3]) * np.array(spacing[:3])
    if not WIDTH_MM[0] < size[:2].min() or not size.max() < WIDTH_MM[1] or spacing[2] > widest_gap_mm:
        raise InputError(
            f"The {name} measures {size[0]:.3g} × {size[1]:.3g} × {size[2]:.3g} mm with slices {spacing[2]:.3g} mm "
            "apart, which is no scan of a head.",
            "give the image with its voxel size in mm.",
        )


def require_near(places: np.ndarray, name: str) -> None:
    """Raise `InputError` where a place of an image, array (…, 3), mm, lies where no scanner has one."""
    farthest = float(np.abs(places).max())
    if not farthest < FARTHEST_MM:
        raise InputError(
            f"The {name} lies {farthest / 1000:.3g} m from the scanner's origin.", "give the image with its true place."
        )


def require_head_ct(image: Volume, stripped: bool) -> None:
    """Raise `InputError` unless values can be those of a head CT in HU; array (x, y, z).

    A whole head lies in air. A skull-stripped one need not, whatever its background; what is not background must then
    be tissue in the main. The limits are wide: they are to tell CT from MRI and from scaled or shifted copies.
    """
    data = image.data
    if data.min() == data.max():
        raise InputError(f"The NCCT has one value everywhere ({data.min():g}).", "export the image again.")
    if not stripped:
        _require_air(data)
    inside = data
    if stripped:
        values, counts = np.unique(np.rint(np.clip(data, -32768, 32767)).astype(np.int32), return_counts=True)
        inside = data[np.rint(data) != values[counts.argmax()]]
    low, high = TISSUE_HU
    tissue = inside[(inside >= low) & (inside <= high)]
    share = tissue.size / inside.size if inside.size else 0.0
    if share < (0.5 if stripped else LEAST_SHARE) or np.ptp(tissue) < 5:
        raise InputError(
            f"The NCCT has hardly any soft tissue ({100 * share:.1f} % of its voxels between {low} and {high} HU).",
            "give a CT of the head in HU, not an MRI and not a rescaled copy.",
        )
    counts = ndimage.uniform_filter1d(np.bincount(np.rint(tissue - low).astype(int)).astype(float), 9, mode="constant")
    peak = int(counts.argmax()) + low
    if not TRUE_TISSUE_HU[0] <= peak <= TRUE_TISSUE_HU[1]:
        raise InputError(
            f"The soft tissue of the NCCT lies at {peak} HU, that of a head between {TRUE_TISSUE_HU[0]} "
            f"and {TRUE_TISSUE_HU[1]}.",
            "give a CT in HU, not a rescaled copy.",
        )


def _require_air(data: np.ndarray) -> None:
    air = data[data < AIR_HU]
    if air.size < LEAST_SHARE * data.size:
        raise InputError(
            f"The NCCT has no air: {data.min():g} is its lowest value, HU below {AIR_HU} are missing.",
            "give a CT in HU; if it came skull-stripped, write ncct in the column stripped of the case sheet.",
        )
    low, high = TRUE_AIR_HU
    if ((air >= low) & (air <= high)).sum() < LEAST_SHARE * data.size:
        raise InputError(
            f"The air of the NCCT lies at {np.median(air):.0f} HU, not at -1000.",
            "give a CT in HU, not a rescaled copy.",
        )
