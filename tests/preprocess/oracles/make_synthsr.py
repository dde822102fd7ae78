"""Make synthsr.h5 and synthsr.npz: SynthSR's network in Keras with random weights, and what it answers.

The files were made once with Keras 2 (the version that wrote the published file), in an environment of its own:

    pip install tensorflow==2.21.0 tf_keras==2.21.0
    python tests/preprocess/oracles/make_synthsr.py

The architecture, the names of its layers and the steps around it are those of FreeSurfer's ``mri_synthsr --ct``; one
feature instead of 24 keeps the files small.
"""

from pathlib import Path

import numpy as np
import tf_keras as keras
from scipy import ndimage
from tf_keras import layers

FOLDER = Path(__file__).parent
FEATURES, LEVELS = 1, 5


def network() -> keras.Model:
    """The U-Net, channels last: a skip connection leaves a level before its batch normalisation."""
    value = first = layers.Input((None, None, None, 1), name="unet_input")
    skips = []
    for level in range(LEVELS):
        value = layers.MaxPooling3D(2, padding="same", name=f"unet_maxpool_{level - 1}")(value) if level else value
        value = two_convolutions(value, f"unet_conv_downarm_{level}", FEATURES * 2**level)
        skips.append(value)
        value = layers.BatchNormalization(axis=-1, name=f"unet_bn_down_{level}")(value)
    for step, level in enumerate(reversed(range(LEVELS - 1))):
        value = layers.UpSampling3D(2, name=f"unet_up_{LEVELS + step}")(value)
        value = layers.concatenate([skips[level], value], axis=-1, name=f"unet_merge_{LEVELS + step}")
        value = two_convolutions(value, f"unet_conv_uparm_{LEVELS + step}", FEATURES * 2**level)
        value = layers.BatchNormalization(axis=-1, name=f"unet_bn_up_{step}")(value)
    value = layers.Conv3D(1, 1, name="unet_likelihood")(value)
    return keras.Model(first, layers.Activation("linear", name="unet_prediction")(value), name="unet")


def two_convolutions(value, name: str, features: int):
    for turn in range(2):
        value = layers.Conv3D(features, 3, padding="same", activation="elu", name=f"{name}_{turn}")(value)
    return value


def randomise(model: keras.Model) -> None:
    """Random values in every weight, statistics of the normalisation included; an output that spans about 0..0.5."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        old = layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            ranges = ((0.7, 1.3), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5))
            layer.set_weights([rng.uniform(*limits, w.shape) for limits, w in zip(ranges, old, strict=True)])
        elif old:
            kernel, bias = old
            spread = 1.4 / np.sqrt(np.prod(kernel.shape[:-1]))
            layer.set_weights([rng.normal(0, spread, kernel.shape), rng.uniform(-0.1, 0.3, bias.shape)])
    last = model.get_layer("unet_likelihood")
    last.set_weights([0.25 * last.get_weights()[0], np.array([0.25])])


def in_ct_mode(model: keras.Model, hu: np.ndarray) -> np.ndarray:
    """The steps of ``mri_synthsr --ct`` on HU at 1 mm in RAS."""
    target = (np.ceil(np.array(hu.shape) / 32) * 32).astype(int)
    before = (target - hu.shape) // 2
    padded = np.pad(hu, [(b, t - n - b) for b, t, n in zip(before, target, hu.shape, strict=True)])
    image = np.clip(padded, 0, 80)
    image = (image - image.min()) / (image - image.min()).max()
    straight = model.predict(image[None, ..., None], verbose=0)[0, ..., 0]
    flipped = np.flip(model.predict(np.flip(image, 0)[None, ..., None], verbose=0)[0, ..., 0], 0)
    mean = 0.5 * np.clip(255 * straight, 0, 128) + 0.5 * np.clip(255 * flipped, 0, 128)
    mean = mean[tuple(slice(b, b + n) for b, n in zip(before, hu.shape, strict=True))]
    return mean + (mean - ndimage.gaussian_filter(mean, 1.5))


def main() -> None:
    model = network()
    randomise(model)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (32, 16, 16)).astype(np.uint8)
    hu = np.rint(ndimage.gaussian_filter(rng.normal(0, 1500, (27, 22, 17)), 1.5) + 30).astype(np.int16)
    answer = model.predict(image[None, ..., None] / np.float32(255), verbose=0)[0, ..., 0]
    synthetic = in_ct_mode(model, hu.astype(np.float32))
    model.save_weights(FOLDER / "synthsr.h5")
    np.savez_compressed(FOLDER / "synthsr.npz", image=image, answer=answer, hu=hu, synthetic=synthetic)


if __name__ == "__main__":
    main()
