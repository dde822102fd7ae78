"""Identifiers of DICOM headers may be missing, shared or invented; the scan is read, and what is lost is told."""

import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless

from tests.ingest.command import ingest_ncct as ingest
from tests.ingest.dicom_series import Scan, compress, edit, head_hu, inside_head, write_enhanced, write_series
from workflow_scripts.common.errors import InputError

GAPS = (5.0,) * 23
SCAN = Scan(gaps=GAPS, rows=48, columns=40, pixel=(4.0, 3.5))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> nib.Nifti1Image:
    folder = tmp_path_factory.mktemp("plain")
    return ingest(write_series(SCAN, folder / "dicom"), folder)[0]


def each(folder: Path, change: Callable[[Dataset, int], object]) -> Path:
    for index, path in enumerate(sorted(folder.iterdir())):
        image = pydicom.dcmread(path)
        change(image, index)
        image.save_as(path)
    return folder


def bare(folder: Path, implicit: bool) -> Path:
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        data = Dataset()
        data.update({element.tag: element for element in image})
        data.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return folder


def deflated(folder: Path) -> Path:
    def change(image: Dataset) -> None:
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    return edit(folder, change)


def big_endian(folder: Path) -> Path:
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        image.PixelData = image.pixel_array.astype(">u2").tobytes()
        swapped = Dataset()
        swapped.update({element.tag: element for element in image})
        swapped.file_meta = image.file_meta
        swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        swapped.save_as(path, enforce_file_format=True)
    return folder


def fragments(folder: Path) -> Path:
    def change(image: Dataset) -> None:
        (frame,) = generate_frames(image.PixelData, number_of_frames=1)
        image.PixelData = encapsulate([frame], fragments_per_frame=3)
        image["PixelData"].is_undefined_length = True

    return edit(compress(folder, JPEGLSLossless), change)


def hidden(folder: Path) -> Path:
    (folder / ".snakemake_timestamp").touch()
    for path in list(folder.iterdir())[:3]:
        (folder / f"._{path.name}").write_bytes(bytes(range(256)) * 16)
    return folder


def screen_save(folder: Path) -> Path:
    edit(folder, lambda image: [setattr(image, "PatientID", "P1"), setattr(image, "PatientName", "A^B")])
    image = pydicom.dcmread(min(folder.iterdir()))
    image.SeriesInstanceUID, image.SeriesNumber = "1.2.3.99", 999
    image.PatientID, image.ImageType = "", ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    image.save_as(folder / "screen")
    return folder


def previews(folder: Path) -> Path:
    size = min(folder.iterdir()).stat().st_size
    for number, start in enumerate((b"\xff\xd8\xff", b"\x89PNG", b"PK\x03\x04", b"%PDF") * 3):
        (folder / f"preview{number}").write_bytes(start + bytes(size))
    return folder


def own_objects(folder: Path) -> Path:
    """Raw data under a class that DICOM does not know, without rows and columns."""
    image = pydicom.dcmread(min(folder.iterdir()))
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = "1.3.12.2.1107.5.9.1"
    del image.Rows, image.Columns
    for number in range(3):
        image.save_as(folder / f"raw{number}")
    return folder


def unnamed_localizer(folder: Path) -> Path:
    """Two coronal images under the identifiers of the series, which do not say what they are."""
    edit(folder, lambda image: setattr(image, "SeriesInstanceUID", "1.2.9"))
    coronal = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    scan = Scan(
        gaps=(60.0,), rows=48, columns=40, pixel=(4.0, 3.5), frame=coronal, fields={"SeriesInstanceUID": "1.2.9"}
    )
    write_series(scan, folder / "more")
    return folder


HINTS = {
    "no preamble, implicit": lambda folder: bare(folder, True),
    "no preamble, explicit": lambda folder: bare(folder, False),
    "one SOPInstanceUID": lambda folder: each(folder, lambda d, _: setattr(d, "SOPInstanceUID", "1.2.3")),
    "empty SOPInstanceUID": lambda folder: each(folder, lambda d, _: setattr(d, "SOPInstanceUID", "")),
    "no SOPInstanceUID": lambda folder: each(folder, lambda d, _: delattr(d, "SOPInstanceUID")),
    "one series a slice": lambda folder: each(folder, lambda d, i: setattr(d, "SeriesInstanceUID", f"1.2.{i + 1}")),
    "one series and number a slice": lambda folder: each(
        folder, lambda d, i: [setattr(d, "SeriesInstanceUID", f"1.2.{i + 1}"), setattr(d, "SeriesNumber", i)]
    ),
    "no series": lambda folder: each(folder, lambda d, _: delattr(d, "SeriesInstanceUID")),
    "one acquisition a slice": lambda folder: each(folder, lambda d, i: setattr(d, "AcquisitionNumber", i)),
    "no modality": lambda folder: each(folder, lambda d, _: delattr(d, "Modality")),
    "deflated": deflated,
    "big endian": big_endian,
    "fragments": fragments,
    "hidden files beside": hidden,
    "screen save without patient": screen_save,
    "one name in several forms": lambda folder: each(
        folder, lambda d, i: setattr(d, "PatientName", ("Doe^Jane", "DOE^JANE^^^", "Doe Jane ")[i % 3])
    ),
    "localizer of another name in the series": unnamed_localizer,
    "pictures and archives of an image's size": previews,
    "objects of the maker's own": own_objects,
}


@pytest.mark.parametrize("hint", HINTS)
def test_geometry_decides_where_identifiers_fail(hint, plain, tmp_path):
    image, record = ingest(HINTS[hint](write_series(SCAN, tmp_path / "dicom")), tmp_path / "out")
    assert np.array_equal(image.dataobj, plain.dataobj)
    np.testing.assert_allclose(image.affine, plain.affine, atol=1e-4)
    assert record["slices"] == {
        "acquired": 24,
        "missing": 0,
        "lost_at_the_ends": 0,
        "interpolated": False,
        "straightened": False,
    }


def test_two_series_under_one_identifier_are_two(tmp_path):
    same = {"SeriesInstanceUID": "1.2.9"}
    folder = write_series(Scan(gaps=GAPS, number=2, fields=same), tmp_path / "dicom")
    write_series(Scan(gaps=(2.5,) * 46, number=3, fields=same), folder)
    assert ingest(folder, tmp_path)[1]["chosen"]["series"] == 3


def test_of_two_acquisitions_in_one_series_the_whole_one_is_taken(plain, tmp_path):
    folder = write_series(SCAN, tmp_path / "dicom" / "a")
    edit(folder, lambda image: setattr(image, "SeriesInstanceUID", "1.2.9"))
    again = Scan(gaps=GAPS, rows=48, columns=40, pixel=(4.0, 3.5), values=lambda points: head_hu(points) + 4)
    fields = {"SeriesInstanceUID": "1.2.9", "AcquisitionNumber": 2}
    second = edit(write_series(again, tmp_path / "dicom" / "b"), lambda image: image.update(fields))
    for path in sorted(second.iterdir())[::5]:
        path.unlink()
    image, _ = ingest(folder.parent, tmp_path)
    assert np.array_equal(image.dataobj, plain.dataobj)


def ends(folder: Path, count: int) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name[-3:])[:count]


LOSSES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off in the header": lambda path: path.write_bytes(path.read_bytes()[:400]),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size)),
    "other size": lambda path: edit_one(path, "Rows", 24, half=True),
    "other kernel": lambda path: edit_one(path, "ConvolutionKernel", "B80s"),
    "a deflated bomb": lambda path: path.write_bytes(bomb(path)),
}


def bomb(path: Path) -> bytes:
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"[:20])
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return content[:start] + packer.compress(bytes(2**22)) + packer.flush()


def edit_one(path: Path, keyword: str, value: object, half: bool = False) -> None:
    image = pydicom.dcmread(path)
    setattr(image, keyword, value)
    if half:
        image.PixelData = image.PixelData[: len(image.PixelData) // 2]
    image.save_as(path)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_at_an_end_is_recorded_and_stops_the_case_beyond_the_limit(loss, tmp_path):
    folder = write_series(SCAN, tmp_path / "dicom")
    LOSSES[loss](ends(folder, 1)[0])
    assert ingest(folder, tmp_path / "one")[1]["slices"]["lost_at_the_ends"] == 1
    for path in ends(folder, 5):
        if path.stat().st_size:
            LOSSES[loss](path)
    with pytest.raises(InputError, match=r"files beside it are damaged or unlike the others"):
        ingest(folder, tmp_path / "five")


def values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Dataset], None]:
    def edited(image: Dataset) -> None:
        image.PixelData = change(image.pixel_array).astype("<u2").tobytes()

    return edited


WRONG = {
    "intercept missing in one": (lambda d: delattr(d, "RescaleIntercept"), False, "is missing in some images"),
    "slope of one": (lambda d: setattr(d, "RescaleSlope", 1.05), False, "rescalings of their own and do not agree"),
    "intercept of one": (lambda d: setattr(d, "RescaleIntercept", -1000), False, "rescalings of their own"),
    "slope -1 of one": (lambda d: setattr(d, "RescaleSlope", -1), False, "not above 0, or huge"),
    "slope 0": (lambda d: setattr(d, "RescaleSlope", 0), True, "not above 0, or huge"),
    "slope -1": (lambda d: setattr(d, "RescaleSlope", -1), True, "not above 0, or huge"),
    "slope 1e9": (lambda d: setattr(d, "RescaleSlope", 1e9), True, "not above 0, or huge"),
    "slope 1.2": (lambda d: setattr(d, "RescaleSlope", 1.2), True, "soft tissue of the NCCT|hardly any soft"),
    "intercept 500 higher": (lambda d: setattr(d, "RescaleIntercept", -524), True, "air of the NCCT lies at -500"),
    "pixels longer": (lambda d: setattr(d, "PixelData", d.PixelData * 2), True, "longer than rows × columns"),
    "odd bit depth": (lambda d: setattr(d, "BitsStored", 20), True, "number of bits of a pixel contradicts itself"),
    "one slice 1024 higher": (values(lambda pixels: pixels + 1024), False, "does not go with its neighbours"),
    "one slice blank": (values(np.zeros_like), False, "does not go with its neighbours"),
    "one slice upside down": (values(lambda pixels: np.roll(pixels, 24, 0)), False, "does not go with its neighbours"),
    "one slice aside": (
        lambda d: setattr(d, "ImagePositionPatient", [d.ImagePositionPatient[0] + 50, *d.ImagePositionPatient[1:]]),
        False,
        "a slice lies 50 mm beside the others",
    ),
    "heights times 10": (
        lambda d: setattr(d, "ImagePositionPatient", [*d.ImagePositionPatient[:2], d.ImagePositionPatient[2] * 10]),
        True,
        "its slices lie 50 mm apart",
    ),
    "heights times 1e9": (
        lambda d: setattr(d, "ImagePositionPatient", [*d.ImagePositionPatient[:2], d.ImagePositionPatient[2] * 1e9]),
        True,
        "mm apart",
    ),
    "pixels of 1e9 mm": (lambda d: setattr(d, "PixelSpacing", [1e9, 1e9]), True, "no scan of a head"),
    "100 000 frames": (lambda d: setattr(d, "NumberOfFrames", 100_000), True, "no DICOM image"),
    "a pixel too many": (lambda d: [setattr(d, "Rows", 65535), setattr(d, "Columns", 65535)], True, "no DICOM image"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_values_and_places_that_cannot_be_are_refused(wrong, tmp_path):
    change, every, message = WRONG[wrong]
    folder = edit(write_series(SCAN, tmp_path / "dicom"), change, every)
    with pytest.raises(InputError, match=message):
        ingest(folder, tmp_path)
    assert not (tmp_path / "ncct.nii.gz").exists()


@pytest.mark.parametrize("tilt", [0.0, 12.0])
def test_padding_is_air_whatever_its_value_and_tissue_of_that_value_stays(tilt, tmp_path):
    scan = Scan(gaps=GAPS, tilt=tilt)
    rows, columns = np.mgrid[:80, :64] - np.array([39.5, 31.5])[:, None, None]
    outside = (rows / 40) ** 2 + (columns / 32) ** 2 > 1

    def pad(stored: int) -> Callable[[Dataset], None]:
        def change(image: Dataset) -> None:
            pixels = image.pixel_array.copy()
            pixels[outside] = stored
            image.PixelData = pixels.tobytes()
            image.add_new(0x00280120, "US", stored)

        return change

    for stored in (63536, 1064):
        folder = edit(write_series(scan, tmp_path / f"{stored}"), pad(stored))
        image, _ = ingest(folder, tmp_path / f"out{stored}")
        data = image.get_fdata()
        assert data.max() < 130
        assert (np.abs(data - 40) < 1).any()  # tissue that has the value of the second padding
        assert data[0].max() < -900


@pytest.mark.parametrize("tilt", [0.0, 12.0])
@pytest.mark.parametrize("enhanced", [False, True])
def test_slices_that_are_stored_in_steps_of_their_own_have_the_hu_of_their_rescaling(tilt, enhanced, tmp_path):
    scan = Scan(gaps=(5.0,) * 23, tilt=tilt)
    folder = each(write_series(scan, tmp_path / "dicom"), rescaled)
    if enhanced:
        folder = as_enhanced(scan, tmp_path / "enhanced" / "object")
    image, _ = ingest(folder, tmp_path / "own")
    points = nib.affines.apply_affine(image.affine, np.moveaxis(np.indices(image.shape), 0, -1))
    inner = inside_head(points, margin_mm=14)
    assert np.abs(image.get_fdata() - head_hu(points))[inner].max() <= 1.5
    assert inner.sum() > 15_000


def rescaled(image: Dataset, index: int) -> None:
    """Store HU in steps of 0.25 to 0.95 HU above an intercept that differs, too."""
    slope, intercept = 0.25 + 0.1 * (index % 8), -1024 - 10 * (index % 3)
    hu = image.pixel_array - 1024.0
    image.PixelData = np.rint((hu - intercept) / slope).astype("<u2").tobytes()
    image.RescaleSlope, image.RescaleIntercept = slope, intercept


def as_enhanced(scan: Scan, path: Path) -> Path:
    folder = write_enhanced(scan, path)

    def change(whole: Dataset) -> None:
        frames = []
        for index, (pixels, groups) in enumerate(
            zip(whole.pixel_array, whole.PerFrameFunctionalGroupsSequence, strict=True)
        ):
            one = Dataset()
            one.RescaleSlope, one.RescaleIntercept = 0.25 + 0.1 * (index % 8), -1024 - 10 * (index % 3)
            one.RescaleType = "HU"
            groups.PixelValueTransformationSequence = [one]
            frames.append(np.rint((pixels - 1024.0 - one.RescaleIntercept) / one.RescaleSlope).astype("<u2"))
        whole.PixelData = np.stack(frames).tobytes()

    return edit(folder, change)
