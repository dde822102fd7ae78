"""SynthStrip (Hoopes et al. 2022): the brain in any head image, by the published network.

The image is prepared and the network's distance turned into a mask as FreeSurfer's ``mri_synthstrip`` does it
(github.com/freesurfer/freesurfer, ``mri_synthstrip``), but for the interpolation to 1 mm, which is linear here.
"""

import pickle
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nipreps.synthstrip.model import StripModel
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume, resample
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.preprocess.voxels.morphology import largest_component

Network = Callable[[torch.Tensor], torch.Tensor]

ORIENTATION = "LIA"
MULTIPLE, SMALLEST, LARGEST = 64, 192, 320
BRIGHTEST_PERCENTILE = 99
FAR_MM = 100.0


def load_network(path: Path | str) -> Network:
    """Build the network from the published file; ready for inference.

    Raises `InputError` when the file is not a checkpoint of it.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]
        network = StripModel(nb_features=len(weights["encoder.0.0.conv.weight"]))
        network.load_state_dict(weights)
    except (OSError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{Path(path).name} holds no weights of SynthStrip ({type(error).__name__}).",
            "give synthstrip.1.pt of FreeSurfer as preprocess.skull_stripping.synthstrip_weights "
            "(--synthstrip-weights for a new patient).",
        ) from error
    return network.eval()


def brain(network: Network, image: Volume, border_mm: float, threads: int) -> np.ndarray:
    """Find the brain in a head image of any contrast, grid and orientation.

    Parameters
    ----------
    network
        from `load_network`: image (1, 1, x, y, z) of 0..1 at 1 mm to the distance in mm to the brain's surface,
        negative inside
    border_mm
        how far from the brain's surface the mask reaches outwards
    threads
        for torch

    Returns
    -------
    boolean mask on the grid of ``image``, one piece without holes; empty when the network sees no brain

    Raises
    ------
    InputError
        when the image holds nothing above 0
    """
    torch.set_num_threads(threads)
    conformed = conform(image)
    with torch.inference_mode():
        distance = network(torch.from_numpy(conformed.data)[None, None])[0, 0].numpy()
    there = resample(conformed.with_data(distance), image.data.shape, image.affine, order=1, background=FAR_MM)
    return ndimage.binary_fill_holes(largest_component(there.data < border_mm))


def conform(image: Volume) -> Volume:
    """Prepare an image for the network: 1 mm, axes towards left, inferior and anterior, sides 192, 256 or 320, 0..1.

    The box of what is above 0 lies in the middle; outside the image there is its smallest value. The brightest
    hundredth is cut off.
    """
    floor = float(image.data.min())
    upright = resample_isotropic(_oriented(image), 1.0, antialias=True, background=floor)
    if not (upright.data > 0).any():
        raise InputError("SynthStrip sees nothing above 0 in the image.", "look at the image: it should show a head.")
    box = bounding_box(upright.data > 0)
    sides = np.array([part.stop - part.start for part in box])
    shape = np.clip(np.ceil(sides / MULTIPLE).astype(int) * MULTIPLE, SMALLEST, LARGEST)
    start = np.array([part.start for part in box]) - (shape - sides) // 2
    data = _window(upright.data, start, shape, floor)
    data -= data.min()
    data = np.clip(data / np.percentile(data, BRIGHTEST_PERCENTILE), 0, 1)
    affine = upright.affine.copy()
    affine[:3, 3] = (upright.affine @ [*start, 1])[:3]
    return Volume(data.astype(np.float32), affine)


def _oriented(image: Volume) -> Volume:
    given = nib.io_orientation(image.affine)
    change = nib.orientations.ornt_transform(given, nib.orientations.axcodes2ornt(ORIENTATION))
    turned = nib.Nifti1Image(image.data, image.affine).as_reoriented(change)
    return Volume(np.asarray(turned.dataobj), np.asarray(turned.affine, float))


def _window(data: np.ndarray, start: np.ndarray, shape: np.ndarray, fill: float) -> np.ndarray:
    """Cut ``shape`` voxels from ``start`` (which may lie outside), with ``fill`` where the array has none."""
    window = np.full(shape, fill, np.float32)
    low, high = np.maximum(start, 0), np.minimum(start + shape, data.shape)
    inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    window[inside] = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return window
