"""SynthSR (Iglesias et al. 2023): a synthetic T1-weighted image from a head CT, by the published network.

Network, weights and arithmetic are those of version 2.0 in CT mode, as FreeSurfer's ``mri_synthsr --ct`` runs it
(github.com/freesurfer/freesurfer, ``mri_synthsr``; github.com/BBillot/SynthSR). The network is written here in torch
and reads the published Keras file.
"""

from pathlib import Path

import h5py
import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from workflow_scripts.common.errors import InputError

LEVELS = 5
FEATURES = 24
NORMALISATION_EPSILON = 1e-3  # Keras' default, with which the network was trained
WINDOW_HU = (0.0, 80.0)
BRIGHTEST = 128.0
SLAB = 32  # voxels along the first axis that a level's convolutions see at once
HALO = 2  # voxels beside a slab that reach it through two convolutions; even, as SLAB is
SHARPENING_SIGMA = 1.5
CONVOLUTION = ("kernel:0", "bias:0")
NORMALISATION = ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")


class SynthSR(nn.Module):
    """The 3-D U-Net of SynthSR: image (n, 1, x, y, z), sides multiples of 16, to one value a voxel, same shape.

    Each level has two convolutions with ELU and then a batch normalisation; a level's skip connection leaves before
    its normalisation. Layers carry the names of the Keras file without the prefix ``unet_``.
    """

    def __init__(self, features: int = FEATURES) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(LEVELS)]
        layers: dict[str, nn.Module] = {}
        for level, width in enumerate(widths):
            layers[f"conv_downarm_{level}_0"] = _convolution(widths[level - 1] if level else 1, width)
            layers[f"conv_downarm_{level}_1"] = _convolution(width, width)
            layers[f"bn_down_{level}"] = nn.BatchNorm3d(width, eps=NORMALISATION_EPSILON)
        for step, width in enumerate(reversed(widths[:-1])):
            layers[f"conv_uparm_{LEVELS + step}_0"] = _convolution(3 * width, width)
            layers[f"conv_uparm_{LEVELS + step}_1"] = _convolution(width, width)
            layers[f"bn_up_{step}"] = nn.BatchNorm3d(width, eps=NORMALISATION_EPSILON)
        layers["likelihood"] = nn.Conv3d(features, 1, 1)
        self.layers = nn.ModuleDict(layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        value, skips = image, []
        for level in range(LEVELS):
            value = functional.max_pool3d(value, 2) if level else value
            skips.append(self._twice(f"conv_downarm_{level}", value))
            value = self.layers[f"bn_down_{level}"](skips[-1])
        del skips[-1]
        for step in range(LEVELS - 1):
            value = self._twice(f"conv_uparm_{LEVELS + step}", value, skips.pop())
            value = self.layers[f"bn_up_{step}"](value)
        return self.layers["likelihood"](value)

    def _twice(self, name: str, value: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Run both convolutions of a level, over the upsampled ``value`` behind ``skip`` where there is one.

        Slab by slab: the same numbers, and a whole head needs 4 GB where it would need 11.
        """
        grid = (value if skip is None else skip).shape[2:]
        result = value.new_empty((len(value), self.layers[f"{name}_1"].out_channels, *grid))
        for start in range(0, grid[0], SLAB):
            stop = min(start + SLAB, grid[0])
            low, high = max(start - HALO, 0), min(stop + HALO, grid[0])
            if skip is None:
                slab = value[:, :, low:high]
            else:
                upsampled = functional.interpolate(value[:, :, low // 2 : high // 2], scale_factor=2.0, mode="nearest")
                slab = torch.cat((skip[:, :, low:high], upsampled), dim=1)
            for turn in range(2):
                slab = functional.elu(self.layers[f"{name}_{turn}"](slab), inplace=True)
            result[:, :, start:stop] = slab[:, :, start - low : stop - low]
        return result


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, padding=1)


def load_network(path: Path | str) -> SynthSR:
    """Build the network from the published Keras file (weights alone, or a whole model); ready for inference.

    Raises `InputError` when the file is not HDF5, lacks a layer, or holds one of another shape.
    """
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            first = _read(root, "conv_downarm_0_0", CONVOLUTION)[0]
            network = SynthSR(features=first.shape[-1])
            with torch.no_grad():
                for name, layer in network.layers.items():
                    _fill(layer, root, name)
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{Path(path).name} holds no weights of SynthSR ({error}).",
            "give synthsr_v20_230130.h5 of FreeSurfer as preprocess.skull_stripping.synthsr_weights "
            "(--synthsr-weights for a new patient).",
        ) from error
    return network.eval()


def _fill(layer: nn.Module, root: h5py.Group, name: str) -> None:
    if isinstance(layer, nn.Conv3d):
        kernel, bias = _read(root, name, CONVOLUTION)
        pairs = [(layer.weight, kernel.transpose(4, 3, 0, 1, 2)), (layer.bias, bias)]
    else:
        parameters = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        pairs = list(zip(parameters, _read(root, name, NORMALISATION), strict=True))
    for parameter, values in pairs:
        if parameter.shape != values.shape:
            raise KeyError(f"layer unet_{name} has shape {values.shape}, not {tuple(parameter.shape)}")
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))


def _read(root: h5py.Group, name: str, weights: tuple[str, ...]) -> list[np.ndarray]:
    group = root[f"unet_{name}/unet_{name}"]
    return [np.asarray(group[weight]) for weight in weights]


def synthetic_t1(network: SynthSR, hu: np.ndarray, threads: int) -> np.ndarray:
    """Turn a head CT into a T1-weighted image, float32, same shape, mostly 0..128.

    Parameters
    ----------
    hu
        HU at 1 mm, axes along right, anterior, superior
    threads
        for torch

    Returns
    -------
    the mean over the image and its left-right mirror, sharpened as ``mri_synthsr`` does by default

    Raises
    ------
    InputError
        when nothing in the image lies between 0 and 80 HU
    """
    torch.set_num_threads(threads)
    multiple = 2**LEVELS
    missing = [-size % multiple for size in hu.shape]
    margins = [(rest // 2, rest - rest // 2) for rest in missing]
    clipped = np.clip(np.pad(hu.astype(np.float32), margins), *WINDOW_HU)
    low, high = clipped.min(), clipped.max()
    if not high > low:
        raise InputError(
            "SynthSR sees no tissue between 0 and 80 HU.", "look at the resampled image: it should be a head CT in HU."
        )
    image = torch.from_numpy((clipped - low) / (high - low))[None, None]
    with torch.inference_mode():
        straight = _scaled(network(image))
        mirrored = _scaled(network(image.flip(2))).flip(2)
    inside = tuple(slice(before, before + size) for (before, _), size in zip(margins, hu.shape, strict=True))
    mean = (0.5 * (straight + mirrored))[0, 0].numpy()[inside]
    return 2 * mean - ndimage.gaussian_filter(mean, SHARPENING_SIGMA)


def _scaled(output: torch.Tensor) -> torch.Tensor:
    return (255 * output).clamp(0, BRIGHTEST)
