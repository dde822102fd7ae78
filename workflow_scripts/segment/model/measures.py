"""Numbers of a scan by which one that is unlike the training set shows."""

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

from workflow_scripts.common.nnunet.predict import Segmenter
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


@torch.no_grad()
def encoder_features(segmenter: Segmenter, image: np.ndarray) -> np.ndarray:
    """Return the encoder's last feature maps, averaged over patches side by side and over space.

    Parameters
    ----------
    segmenter
        a model with its weights loaded
    image
        normalised, float32 (channel, z, y, x); one patch at a time is in memory

    Returns
    -------
    float64 (features,)
    """
    patch = segmenter.configuration.patch_size
    padded, _ = pad_nd_image(image, patch, "edge", return_slicer=True)
    steps = compute_steps_for_sliding_window(padded.shape[1:], patch, 1.0)
    found = []
    for z in steps[0]:
        for y in steps[1]:
            for x in steps[2]:
                cut = padded[:, z : z + patch[0], y : y + patch[1], x : x + patch[2]]
                maps = segmenter.encode(torch.from_numpy(np.ascontiguousarray(cut))[None])
                found.append(maps.mean(dim=(0, 2, 3, 4)).double().cpu().numpy())
    return np.mean(found, axis=0)
