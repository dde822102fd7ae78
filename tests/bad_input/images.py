"""NIfTI files that are no head CT, no MRI, or no mask of the scan's lesion or brain."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset

from tests.bad_input.kinds import Kind, Make, nifti
from tests.bad_input.scans import SMALL, emptied, empty, litter, series, small
from tests.ingest.dicom_series import edit, head_hu, write_series

HEAD = SMALL.drawn(head_hu).astype(np.float32)
NOISY = HEAD + np.random.default_rng(0).normal(0, 3, HEAD.shape).astype(np.float32)
AFFINE = SMALL.affine
LEANING = np.eye(4) + np.eye(4)[:, [1]] * np.array([0, 0, 8 * np.sqrt(3) / 5, 0])  # rows of 5 mm, slices of 8 mm


def lesion(points: np.ndarray) -> np.ndarray:
    return (((points - [24, -20, 66]) / [22, 30, 27]) ** 2).sum(axis=-1) < 1


def corner(points: np.ndarray) -> np.ndarray:
    return (points - [-50, 70, 66] < 20).all(axis=-1) & (points - [-50, 70, 66] > -20).all(axis=-1)


LESION = SMALL.drawn(lesion).astype(np.float32)
BRAIN = SMALL.drawn(lambda points: head_hu(points) > 0).astype(np.float32)


def saved(data: np.ndarray, affine: np.ndarray = AFFINE) -> Make:
    def make(path: Path) -> Path:
        nib.save(nib.Nifti1Image(data, affine), path)
        return path

    return make


def with_bytes(change: Callable[[bytes], bytes], data: np.ndarray = HEAD) -> Make:
    return lambda path: _change(saved(data)(path), change)


def _change(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def with_forms(sform: np.ndarray | None, qform: np.ndarray | None) -> Make:
    def make(path: Path) -> Path:
        image = nib.Nifti1Image(HEAD, AFFINE)
        image.set_sform(sform, int(sform is not None))
        image.set_qform(qform, int(qform is not None))
        nib.save(image, path)
        return path

    return make


def at(start: int, values: np.ndarray) -> Callable[[bytes], bytes]:
    """Change what stands at an offset of an uncompressed file."""
    return lambda content: content[:start] + values.tobytes() + content[start + values.nbytes :]


def _pair(folder: Path) -> Path:
    nib.save(nib.Nifti1Pair(HEAD, AFFINE), empty(folder) / "scan.img")
    return folder


def _with_a_flipped_bit(content: bytes) -> bytes:
    return content[:-6] + bytes([content[-6] ^ 4]) + content[-5:]


def _with_surplus(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content) + bytes(32 * 40 * 4))


def text(_content: bytes) -> bytes:
    return b"no image"


def one_dicom_file(path: Path) -> Path:
    return min(write_series(SMALL, path).iterdir())


def two_in_a_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("a.nii.gz", "b.nii.gz"):
        saved(HEAD)(folder / name)
    return folder


def two_mr_series(folder: Path) -> Path:
    write_series(small(modality="MR"), folder)
    return write_series(small(modality="MR", number=4), folder)


def cut_off_mr(folder: Path) -> Path:
    for path in write_series(small(modality="MR"), folder).iterdir():
        path.write_bytes(path.read_bytes()[:-500])
    return folder


def repeated_mr(folder: Path) -> Path:
    def time_point(image: Dataset) -> None:
        image.PixelData = (image.pixel_array + 50 * (image.InstanceNumber % 2)).tobytes()

    return edit(write_series(small(modality="MR", gaps=(0.0, 8.0) * 13 + (0.0,)), folder), time_point)


def mr_without_orientation(folder: Path) -> Path:
    return edit(write_series(small(modality="MR"), folder), lambda image: delattr(image, "ImageOrientationPatient"))


SINGULAR = AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1.0]])
SKEWED = AFFINE @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
MIRRORED = np.diag([-1.0, 1, 1, 1])
RIGHT_12 = np.array([[1, 0, 0, 12], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
COLOURS = np.zeros(HEAD.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
IN_MICROMETRES = np.diag([1000.0, 1000, 1000, 1]) @ AFFINE


def with_one(value: float, data: np.ndarray) -> np.ndarray:
    changed = data.copy()
    changed[16, 20, 7] = value
    return changed


def many_labels(count: int) -> np.ndarray:
    columns = np.indices(LESION.shape)[0]
    return np.where(LESION > 0, 1 + columns % count, 0).astype(np.float32)


NCCT = (
    nifti("file of zero bytes", with_bytes(emptied)),
    nifti("file cut off", with_bytes(lambda content: content[: len(content) // 2])),
    nifti("uncompressed file cut off", with_bytes(lambda content: content[: len(content) // 2]), suffix=".nii"),
    nifti("file with one bit flipped", with_bytes(_with_a_flipped_bit)),
    nifti("more voxels than the header announces", with_bytes(_with_surplus)),
    nifti("header of another data type", with_bytes(at(70, np.array([4, 16], "<i2"))), suffix=".nii"),
    nifti("file damaged in the middle", with_bytes(at(2000, np.zeros(90, np.uint8)))),
    nifti("text under the name of an image", with_bytes(text)),
    nifti("uncompressed file under the name of a compressed one", with_bytes(gzip.decompress)),
    nifti("header with impossible sizes", with_bytes(at(42, np.full(3, 30000, "<i2"))), suffix=".nii"),
    Kind("one DICOM file instead of its folder", one_dicom_file),
    Kind("folder with two NIfTI files", two_in_a_folder),
    nifti("series number beside a NIfTI file", saved(HEAD), "--series=3"),
    nifti("four dimensions", saved(np.stack([HEAD, HEAD], axis=-1))),
    nifti("two dimensions", saved(HEAD[..., 7])),
    nifti("one slice", saved(HEAD[..., 7:8])),
    nifti("fewer slices than min_slices", saved(HEAD[..., :6])),
    nifti(
        "image that ends inside the brain",
        saved(HEAD, AFFINE @ np.diag([1, 1, 0.6, 1])),
    ),
    nifti("NaN", saved(with_one(np.nan, HEAD))),
    nifti("infinity", saved(with_one(np.inf, HEAD))),
    nifti("colours", saved(COLOURS)),
    nifti("complex numbers", saved(HEAD.astype(np.complex64))),
    nifti("singular affine", with_forms(SINGULAR, None)),
    nifti("NaN in the affine", with_bytes(at(280, np.array([np.nan], "<f4"))), suffix=".nii"),
    nifti("a kilometre from the scanner", saved(HEAD, AFFINE + 1e6 * np.eye(4, k=3))),
    nifti("slices that lean by 60 degrees", saved(HEAD, AFFINE @ LEANING)),
    nifti("no orientation", with_forms(None, None)),
    Kind("pair of .hdr and .img", _pair),
    nifti("qform and sform of opposite sides", with_forms(AFFINE, MIRRORED @ AFFINE)),
    nifti("rows and columns that are not perpendicular", with_forms(SKEWED, None)),
    nifti("voxel size in micrometres", with_forms(IN_MICROMETRES, None)),
    nifti("values 1024 too high", saved(HEAD + 1024)),
    nifti("grey values of a window", saved(np.clip(HEAD, 0, 80) * 3)),
    nifti("values of an MRI, declared as stripped", saved(np.where(HEAD > -500, 400 + HEAD, 0)), "--stripped"),
    nifti("one value everywhere", saved(np.zeros_like(HEAD))),
)

MRI = (
    Kind("path that does not exist", lambda path: path),
    Kind("empty folder", empty),
    Kind("folder with other files only", litter),
    Kind("CT images", series()),
    Kind("two series that are equally good", two_mr_series),
    Kind("ADC maps only, for a DWI", series(modality="MR", image_type=("DERIVED", "PRIMARY", "ADC"))),
    Kind("inverted grey", series(modality="MR", fields={"PhotometricInterpretation": "MONOCHROME1"})),
    Kind(
        "fractional anisotropy, for a DWI", series(modality="MR", image_type=("DERIVED", "PRIMARY", "DIFFUSION", "FA"))
    ),
    Kind("fewer slices than min_slices", series(modality="MR", gaps=(8.0,) * 5)),
    Kind("files cut off", cut_off_mr),
    Kind("no orientation", mr_without_orientation),
    Kind("two time points in one series", repeated_mr),
    nifti("NIfTI of zero bytes", with_bytes(emptied)),
    nifti("NIfTI with fewer slices than min_slices", saved(HEAD[..., :6])),
    nifti("NIfTI with four dimensions", saved(np.stack([HEAD, HEAD], axis=-1))),
    nifti("NIfTI with NaN", saved(with_one(np.nan, HEAD))),
    nifti("NIfTI of a CT", saved(NOISY)),
    nifti("NIfTI with one value everywhere", saved(np.zeros_like(HEAD))),
)

MASK = (
    nifti("path that does not exist", lambda path: path),
    nifti("file of zero bytes", with_bytes(emptied, LESION)),
    nifti("file cut off", with_bytes(lambda content: content[:-50], LESION)),
    nifti("two labels", saved(many_labels(2))),
    nifti("three labels", saved(many_labels(3))),
    nifti("a probability map", saved(LESION * np.linspace(0.1, 1, LESION.shape[0], dtype=np.float32)[:, None, None])),
    nifti("negative label", saved(-LESION)),
    nifti("label everywhere", saved(np.ones_like(LESION))),
    nifti("NaN", saved(with_one(np.nan, LESION))),
    nifti("four dimensions", saved(np.stack([LESION, LESION], axis=-1))),
    nifti("fewer slices than the scan", saved(LESION[..., 1:])),
    nifti("grid shifted by 12 mm", saved(LESION, RIGHT_12 @ AFFINE)),
    nifti("affine with left and right swapped", saved(LESION, MIRRORED @ AFFINE)),
    nifti("singular affine", with_forms(SINGULAR, None)),
    nifti("outside the head", saved(SMALL.drawn(corner).astype(np.float32))),
)

MRI_MASK = (
    nifti("another number of slices", saved(LESION[..., 1:])),
    nifti("affine with left and right swapped", saved(LESION, MIRRORED @ AFFINE)),
)

BRAIN_MASK = (
    nifti("path that does not exist", lambda path: path),
    nifti("two labels", saved(BRAIN + LESION)),
    nifti("a probability map", saved(BRAIN * np.linspace(0.1, 1, BRAIN.shape[0], dtype=np.float32)[:, None, None])),
    nifti("label everywhere", saved(np.ones_like(BRAIN))),
    nifti("affine with left and right swapped", saved(BRAIN, MIRRORED @ AFFINE)),
    nifti("fewer slices than the scan", saved(BRAIN[..., 1:])),
    nifti("mask of the lesion", saved(LESION)),
    nifti("all but the brain", saved(1 - BRAIN)),
    nifti("mask of zeros", saved(np.zeros_like(BRAIN))),
    nifti("mask 40 mm aside", saved(np.roll(BRAIN, 10, axis=0))),
)
