"""NIfTI files are believed only as far as checksum, length and header agree."""

import gzip
import os
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nifti import MOST_VOXELS
from workflow_scripts.common.volume import broken_forms, load_volume

AFFINE = np.diag([2.0, 2, 4, 1])
DATA = np.random.default_rng(0).normal(0, 100, (20, 22, 12)).astype(np.int16)
AGAIN = r"Remedy: convert or copy the file again\."
DIM, DATATYPE, BITPIX, PIXDIM, OFFSET, QFORM_CODE, QUATERNION = 40, 70, 72, 76, 108, 252, 256


def saved(path: Path, data: np.ndarray = DATA, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def changed(path: Path, change: Callable[[bytearray], object]) -> Path:
    """Change the uncompressed bytes of a file; its checksum is right again afterwards."""
    content = bytearray(gzip.decompress(saved(path).read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content), mtime=0))
    return path


def put(offset: int, form: str, *values: float) -> Callable[[bytearray], object]:
    return lambda content: struct.pack_into("<" + form, content, offset, *values)


def load(path: Path) -> np.ndarray:
    return load_volume(path, given=True).data


def test_no_flipped_bit_of_a_compressed_file_goes_unnoticed(tmp_path):
    path = saved(tmp_path / "a.nii.gz")
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in [*rng.integers(10, len(content), 60), *range(len(content) - 8, len(content))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=AGAIN):
            load(path)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put(DIM + 6, "h", 11), id="dim smaller than the data"),
        pytest.param(put(DIM + 6, "h", 13), id="dim larger than the data"),
        pytest.param(put(DATATYPE, "hh", 16, 32), id="larger data type"),
        pytest.param(put(DATATYPE, "hh", 2, 8), id="smaller data type"),
        pytest.param(put(DATATYPE, "h", 16), id="data type without its bits"),
        pytest.param(put(DATATYPE, "hh", 7777, 16), id="unknown data type"),
        pytest.param(put(OFFSET, "f", 416), id="offset behind the first voxel"),
        pytest.param(put(OFFSET, "f", 1e9), id="offset behind the file"),
        pytest.param(put(OFFSET, "f", float("nan")), id="offset that is no number"),
        pytest.param(put(DIM, "h", 9), id="nine dimensions"),
        pytest.param(lambda content: content.extend(b"\0" * 32), id="surplus bytes"),
        pytest.param(lambda content: content.__delitem__(slice(-32, None)), id="missing bytes"),
        pytest.param(put(344, "4s", b"ni1\0"), id="header of a pair of files"),
    ],
)
def test_voxels_that_contradict_their_header_are_refused(change, tmp_path):
    with pytest.raises(InputError, match=AGAIN):
        load(changed(tmp_path / "a.nii.gz", change))


def test_impossible_sizes_are_refused_before_any_voxel_is_read(tmp_path):
    path = changed(tmp_path / "a.nii.gz", put(DIM, "4h", 3, 1240, 1240, 1240))
    with pytest.raises(InputError, match=r"gives a size of \(1240, 1240, 1240\)"):
        load(path)
    assert MOST_VOXELS < 1240**3
    with pytest.raises(InputError, match="thicker slices"):
        load(changed(tmp_path / "c.nii.gz", put(DIM, "4h", 3, 1024, 1024, 400)))
    fits_in_no_file = changed(tmp_path / "b.nii.gz", put(DIM, "4h", 3, 600, 600, 600))
    with pytest.raises(InputError, match="fewer voxels"):
        load(fits_in_no_file)


def test_what_was_made_here_is_to_be_made_again(tmp_path):
    path = saved(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"Remedy: delete it; the same command makes it again\."):
        load_volume(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ", "A.NII"])
@pytest.mark.parametrize("trailing", [(), (1,), (1, 1), (1, 1, 1)])
def test_forms_that_other_readers_take_are_taken(name, trailing, tmp_path):
    path = tmp_path / name
    saved(tmp_path / name.lower(), DATA.reshape(*DATA.shape, *trailing)).rename(path)
    assert np.array_equal(load(path), DATA)


def test_scaling_byte_order_and_version_are_those_of_nibabel(tmp_path):
    for index, kind in enumerate((nib.Nifti1Image, nib.Nifti2Image)):
        for order in "<>":
            image = kind(DATA.astype(np.float32) / 7, AFFINE, kind.header_class(endianness=order))
            image.set_data_dtype(np.int16)
            path = tmp_path / f"{index}{'<>'.index(order)}.nii.gz"
            nib.save(image, path)
            assert np.array_equal(load(path), np.asarray(nib.load(path).dataobj, np.float32))


def quaternion(length: float, sform: bool) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        put(QFORM_CODE, "hh", 1, int(sform))(content)
        put(QUATERNION, "fff", 0, 0, length)(content)  # a turn by 180 degrees about z
        put(PIXDIM, "f", 1)(content)
        if sform:
            put(280, "12f", -2, 0, 0, 40, 0, -2, 0, 40, 0, 0, 4, 0)(content)

    return change


@pytest.mark.parametrize("sform", [True, False])
def test_a_quaternion_a_little_too_long_is_rounding(sform, tmp_path):
    path = changed(tmp_path / "a.nii.gz", quaternion(1.0003, sform))
    np.testing.assert_allclose(np.diag(load_volume(path, given=True).affine)[:3], [-2, -2, 4], atol=1e-3)


def test_a_quaternion_that_is_none_counts_only_where_nothing_else_says_the_orientation(tmp_path):
    path = changed(tmp_path / "a.nii.gz", quaternion(2.0, True))
    load(path)
    assert broken_forms(path) == ["qform"]
    with pytest.raises(InputError, match="singular affine"):
        load(changed(tmp_path / "b.nii.gz", quaternion(2.0, False)))


def with_forms(path: Path, sform: np.ndarray, qform: np.ndarray) -> Path:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
    image.set_qform(qform, 1)
    image.set_sform(sform, 1)
    nib.save(image, path)
    return path


BROKEN = {
    "zeros": np.diag([0.0, 0, 0, 1]),
    "two axes alike": np.array([[2.0, 2, 0, 0], [2, 2, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_an_sform_that_is_none_gives_way_to_the_qform_and_is_named(broken, tmp_path):
    good = np.diag([-2.0, -2, 4, 1])
    path = with_forms(tmp_path / "a.nii", BROKEN[broken], good)
    np.testing.assert_allclose(load_volume(path, given=True).affine, good)
    assert broken_forms(path) == ["sform"]
    assert broken_forms(with_forms(tmp_path / "b.nii", good, good)) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("size", "broken"), [(8.0, []), (8.05, []), (8.3, ["pixdim"])])
def test_voxel_sizes_that_contradict_the_affine_are_named(size, broken, tmp_path):
    """As where a byte of the affine was changed, which makes a plausible tilt of it."""
    image = nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.diag([4.0, 5, 8, 1]))
    image.header["pixdim"][3] = size
    image.set_sform(image.affine, 1, update_affine=False)
    path = tmp_path / "scan.nii"
    path.write_bytes(image.header.binaryblock + bytes(4 + 2 * 24))
    assert broken_forms(path) == broken


def test_a_pipe_under_the_name_of_an_image_is_refused_before_it_is_opened(tmp_path):
    pipe = tmp_path / "scan.nii.gz"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # without one, a program that opens the pipe would wait for ever
    os.write(writer, b"0123456789")
    try:
        with pytest.raises(InputError, match="pipe or a device"):
            load_volume(pipe, given=True)
        with pytest.raises(InputError, match="pipe or a device"):
            locate(pipe, "NCCT", "ncct")
    finally:
        os.close(writer)


@pytest.mark.parametrize("parts", [(0, 352), (0, 100, 4000), (0, 4000, 4000)])
def test_a_file_of_several_gzip_members_padded_with_zeros_is_read_to_its_end(parts, tmp_path):
    """As bgzip and pigz write them, and as tapes and block devices pad them."""
    image = nib.Nifti1Image(np.arange(4096, dtype=np.int16).reshape(16, 16, 16), np.eye(4))
    whole = image.to_bytes()
    members = [gzip.compress(whole[start:end]) for start, end in pairwise([*parts, len(whole)])]
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(members) + bytes(512))
    assert np.array_equal(load_volume(tmp_path / "scan.nii.gz", given=True).data, image.get_fdata())
    (tmp_path / "scan.nii.gz").write_bytes(b"".join([*members, gzip.compress(b"1")]))
    with pytest.raises(InputError, match="more voxels"):
        load_volume(tmp_path / "scan.nii.gz", given=True)


def test_a_path_that_no_system_takes_is_refused_in_words():
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\)"):
        locate(Path("x" * 400), "NCCT", "ncct")
