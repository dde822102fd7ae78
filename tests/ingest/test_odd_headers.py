"""Header forms from public reports on converters that must change nothing: the image is that of the plain series."""

from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.ingest.command import ingest_ncct
from tests.ingest.dicom_series import Scan, write_series
from workflow_scripts.common.stack import Stack, upright_grid

SCAN = Scan(gaps=(8.0,) * 13, rows=40, columns=32, pixel=(5.0, 4.0))


def fields(**values: object) -> Callable[[int, Dataset], None]:
    """Set fields, a function to its value for the number of the slice."""

    def change(number: int, image: Dataset) -> None:
        for keyword, value in values.items():
            setattr(image, keyword, value(number) if callable(value) else value)

    return change


def wide(_: int, image: Dataset) -> None:
    pixels = image.pixel_array.astype("<u4").tobytes()
    image.PixelData, image.BitsAllocated, image.BitsStored, image.HighBit = pixels, 32, 32, 31


def overlay(_: int, image: Dataset) -> None:
    """Overlays in the bits above the stored ones, as old scanners wrote them."""
    pixels = (image.pixel_array | 0xF000).astype("<u2").tobytes()
    image.PixelData, image.BitsStored, image.HighBit = pixels, 12, 11


KINDS = {
    "one instance number": fields(InstanceNumber=1),
    "no instance number": lambda _, image: image.pop("InstanceNumber"),
    "an acquisition a slice": fields(AcquisitionNumber=lambda number: number),
    "a time a slice": fields(AcquisitionTime=lambda number: f"1010{number:02d}.5", TriggerTime=lambda number: number),
    "a description a slice": fields(SeriesDescription=lambda number: f"HEAD {number}"),
    "axial and helical": fields(ImageType=lambda number: ["ORIGINAL", "PRIMARY", ("AXIAL", "HELIX")[number % 2]]),
    "a frame of reference a slice": fields(FrameOfReferenceUID=lambda number: f"1.2.3.{number}"),
    "modulated current": fields(XRayTubeCurrent=lambda number: 100 + number),
    "orientation that trembles": fields(
        ImageOrientationPatient=lambda number: [1, 1e-5 * (number % 3), 0, -1e-5 * (number % 3), 1, 0]
    ),
    "unknown character set": fields(SpecificCharacterSet="ISO_IR 999"),
    "a tilt that the positions deny": fields(GantryDetectorTilt=20),
    "32 bits": wide,
    "overlays in the pixels": overlay,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("plain")
    return ingest_ncct(write_series(SCAN, folder / "dicom"), folder)[0].get_fdata()


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS)
def test_odd_headers_change_nothing(change, plain, tmp_path):
    for number, path in enumerate(sorted(write_series(SCAN, tmp_path / "dicom").iterdir())):
        image = pydicom.dcmread(path)
        change(number, image)
        image.save_as(path)
    assert np.array_equal(ingest_ncct(tmp_path / "dicom", tmp_path)[0].get_fdata(), plain)


def test_two_slices_that_nearly_coincide_do_not_make_thousands():
    heights = np.cumsum([0.0, 5, 5, 0.02, 5, 5, 5])
    stack = Stack(64, 64, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), heights[:, None] * [0, 0.3, 1.0])
    assert upright_grid(stack)[0][2] <= 4 * len(heights)
