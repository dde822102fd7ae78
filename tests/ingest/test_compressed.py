"""Compressed pixels in one piece, in fragments and deflated: read by ingest and by the readers of data sets alike."""

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.ingest.command import ingest_ncct
from tests.ingest.dicom_series import ENCODERS, Scan, write_series
from workflow_scripts.datasets.parts.slices import ct_stacks, hounsfield

SCAN = Scan(rows=60, columns=56, pixel=(3.0, 3.0), gaps=(8.0,) * 13)
ENCODE = ENCODERS | {JPEGLossless: lambda pixels: imagecodecs.ljpeg_encode(pixels, bitspersample=16)}


def in_pieces(image: pydicom.Dataset, syntax: str, pieces: int) -> None:
    """Compress an image, its one frame in several fragments, without the table that says where frames begin."""
    if syntax == RLELossless:
        image.compress(RLELossless, generate_instance_uid=False)
        frame = next(generate_frames(image.PixelData, number_of_frames=1))
    else:
        frame = ENCODE[syntax](np.ascontiguousarray(image.pixel_array))
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([frame], fragments_per_frame=pieces, has_bot=False)
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(
    "syntax",
    [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.name,
)
def test_pixels_come_through_compression(syntax, pieces, tmp_path):
    for path in write_series(SCAN, tmp_path / "dicom").iterdir():
        image = pydicom.dcmread(path)
        if syntax == DeflatedExplicitVRLittleEndian:
            image.file_meta.TransferSyntaxUID = syntax
        else:
            in_pieces(image, syntax, pieces)
        image.save_as(path)
    truth = np.rint(SCAN.drawn(SCAN.values))
    image, _ = ingest_ncct(tmp_path / "dicom", tmp_path)
    assert np.array_equal(np.sort(image.get_fdata(), axis=None), np.sort(truth, axis=None))
    assert np.array_equal(hounsfield(ct_stacks(tmp_path / "dicom")[0]), truth)
