"""Features that a network sees in a scan, by which one that is unlike the training set shows."""

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

from workflow_scripts.common.nnunet.predict import Segmenter


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
