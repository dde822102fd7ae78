"""Numbers of a scan by which one that is unlike the training set shows."""

import numpy as np

from workflow_scripts.common.volume import Volume, resample


def scan_measures(ncct: Volume, brain: Volume, upright: Volume) -> dict[str, float]:
    """Return the volume of the brain and statistics of its HU.

    Parameters
    ----------
    ncct, brain
        final image (HU, clipped) and its mask, on one grid
    upright
        the scan as converted, HU: its noise is no longer there on the coarser grid of the final image

    Returns
    -------
    dict
        brain volume in mL; median, distance of the quartiles, 1st and 99th percentile, and noise (the standard
        deviation that differences between neighbouring pixels imply) in HU
    """
    values = ncct.data[brain.data > 0]
    low, first, median, third, high = np.percentile(values, [1, 25, 50, 75, 99])
    return {
        "brain_ml": float(np.count_nonzero(brain.data > 0) * brain.voxel_ml),
        "median_hu": float(median),
        "quartiles_apart_hu": float(third - first),
        "percentile_1_hu": float(low),
        "percentile_99_hu": float(high),
        "noise_hu": noise(brain, upright),
    }


def noise(brain: Volume, upright: Volume) -> float:
    """Return the standard deviation of the noise in the brain, HU, from neighbours along the first array axis."""
    inside = resample(brain, upright.data.shape, upright.affine, order=0, background=0).data > 0
    steps = np.diff(upright.data.astype(np.float32), axis=0)[inside[1:] & inside[:-1]]
    return float(np.abs(steps).mean() * np.sqrt(np.pi) / 2) if steps.size else 0.0
