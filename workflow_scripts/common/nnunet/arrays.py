"""Preprocessed arrays, as nnU-Net's preprocessor makes and stores them: float32 (channel, z, y, x)."""

import pickle
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from workflow_scripts.common.array_digests import values_digest
from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.cases import DatasetCase
from workflow_scripts.common.nnunet.plans import CONFIGURATION

PARTS = ("", "_seg")  # at the end of the names of a case's arrays: image and label
ARRAY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
ARRAY_PARTS = ("_reconstruct", "dtype", "ndarray", "scalar")
SEAL = "sha256"  # entry of an array's file: digest of its values


def write_arrays(case: DatasetCase, plans: Mapping[str, Any], dataset: Mapping[str, Any], folder: Path) -> None:
    """Write ``{key}.b2nd`` (float32), ``{key}_seg.b2nd`` (int16) and ``{key}.pkl`` into ``folder``.

    This is ``DefaultPreprocessor.run_case_save``: images are normalised by the plans' statistics, not resampled
    (they have the target spacing), and not cropped (their background is not zero).
    """
    manager = PlansManager(dict(plans))
    DefaultPreprocessor(verbose=False).run_case_save(
        str(folder / case.key),
        [str(path) for path in case.images],
        str(case.label),
        manager,
        manager.get_configuration(CONFIGURATION),
        dict(dataset),
    )
    for part in PARTS:
        _seal(folder / f"{case.key}{part}.b2nd")


def write_companion(
    case: DatasetCase, plans: Mapping[str, Any], dataset: Mapping[str, Any], arrays: Path, folder: Path
) -> None:
    """Write ``{key}.b2nd`` of the mirrored image into ``folder``: same channels, normalisation and shape.

    The mirrored image stands for the NCCT; its difference from *its* mirror image, the NCCT, is the negated
    difference image. ``arrays`` holds the case's own arrays, whose shape the companion must have.
    """
    sources = [path.with_name("mirrored.nii.gz") if path.name == "ncct.nii.gz" else path for path in case.images]
    data, properties = NibabelIO().read_images([str(path) for path in sources])
    for channel, path in enumerate(case.images):
        if path.name == "difference.nii.gz":
            data[channel] *= -1
    manager = PlansManager(dict(plans))
    configuration = manager.get_configuration(CONFIGURATION)
    data, _, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        data, None, properties, manager, configuration, dict(dataset)
    )
    expected = open_array(arrays / f"{case.key}.b2nd").shape
    if data.shape != expected:
        raise InputError(
            f"Case {case.cohort}/{case.case}: the mirrored image has the shape {data.shape}, the image {expected}.",
            "run the preprocessing of this case again; the lower bound of clip_hu must not be 0.",
        )
    write_array(folder / f"{case.key}.b2nd", data, configuration.patch_size)


def write_array(path: Path, data: np.ndarray, patch_size: list[int]) -> None:
    """Store one float32 array (channel, z, y, x) in the chunks that nnU-Net would choose for ``patch_size``."""
    blocks, chunks = comp_blosc2_params(data.shape, tuple(patch_size), data.itemsize)
    blosc2.asarray(np.ascontiguousarray(data), urlpath=str(path), mode="w", chunks=chunks, blocks=blocks)
    _seal(path)


def open_array(path: Path) -> blosc2.NDArray:
    """Open a stored array, to be read block by block on one thread; raises `InputError` for a file that is none."""
    try:
        array = blosc2.open(str(path), mode="r", dparams={"nthreads": 1})
    except (RuntimeError, ValueError, OSError) as error:
        raise _damaged(path) from error
    if not isinstance(array, blosc2.NDArray) or array.nbytes > array.schunk.nbytes:
        raise _damaged(path)
    return array


def read_array(path: Path) -> tuple[np.ndarray, str]:
    """Return the values of a stored array and their digest.

    Raises `InputError` where a value is not the one that was written: the format itself has no checksums, and most
    changed bits give other values without a word.
    """
    array = open_array(path)
    try:
        values, chunks = array[:], array.schunk  # which its entries do not keep alive
        sealed = chunks.vlmeta.get(SEAL)
    except (RuntimeError, ValueError) as error:
        raise _damaged(path) from error
    digest = values_digest(values)
    if sealed not in (None, digest):
        raise _damaged(path)
    return values, digest


def read_case(folder: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised image, float32 (C, z, y, x), and the label above 0, bool (z, y, x), of a case."""
    image, label = (read_array(folder / f"{key}{part}.b2nd")[0] for part in PARTS)
    return np.asarray(image, np.float32), label[0] > 0


def background_of(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return the median of each channel outside the brain, (C,); its minimum where the brain fills the image.

    Parameters
    ----------
    image
        normalised, (C, z, y, x)
    brain
        bool, (z, y, x)
    """
    outside = ~brain
    return np.array([np.median(channel[outside]) if outside.any() else channel.min() for channel in image], np.float32)


def arrays_digest(folder: Path, keys: Iterable[str], threads: int) -> str:
    """Return the SHA-256 of names and values of the arrays of some cases, read on ``threads`` threads."""
    paths = sorted(folder / f"{key}{part}.b2nd" for key in keys for part in PARTS)
    with ThreadPoolExecutor(threads) as pool:
        digests = [digest for _, digest in pool.map(read_array, paths)]
    lines = (f"{path.name} {digest}\n" for path, digest in zip(paths, digests, strict=True))
    return bytes_digest("".join(lines).encode())


def require_properties(folder: Path, keys: Iterable[str]) -> None:
    """Read the properties of some cases, as nnU-Net will with pickle, and see that numbers and arrays are all of them.

    Raises `InputError` for a file that is damaged, or that would execute anything.
    """
    for path in (folder / f"{key}.pkl" for key in keys):
        try:
            with path.open("rb") as handle:
                whole = "class_locations" in _Values(handle).load()
        except MemoryError:
            raise
        except Exception as error:  # a damaged pickle may fail in any way
            raise _damaged(path) from error
        if not whole:
            raise _damaged(path)


class _Values(pickle.Unpickler):
    """Makes what numpy's arrays consist of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of numpy that holds values."""
        if module in ARRAY_MODULES and name in ARRAY_PARTS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no value")


def _seal(path: Path) -> None:
    array = blosc2.open(str(path), mode="a", dparams={"nthreads": 1})
    chunks = array.schunk
    chunks.vlmeta[SEAL] = values_digest(array[:])


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path.name} in {path.parent} is damaged, or no array of this workflow.",
        "delete the folder of this dataset and run again: the step that makes it makes it anew.",
    )
