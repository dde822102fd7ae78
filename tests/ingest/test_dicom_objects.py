"""DICOM objects on the series of a scan, read and judged by programs that are not ours."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from tests.ingest.command import CASE, SETTINGS, ingest_ncct
from tests.ingest.dicom_series import Scan, write_enhanced, write_series
from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.ingest import dicom_report, dicom_seg

# SpacingBetweenSlices as scanners write it: along the table, and the same where a slice lacks.
FIELDS = {"SpacingBetweenSlices": 5, "FrameOfReferenceUID": "1.2.3.6", "PatientID": "7", "PatientName": "Doe^Jane"}
FIELDS |= {"StudyID": "1", "StudyTime": "101010", "AccessionNumber": "", "PatientSex": "F", "PatientBirthDate": ""}
SERIES = {
    "upright": Scan(fields=FIELDS),
    "tilted": Scan(tilt=18.0, fields=FIELDS),
    "tilted backwards, downwards": Scan(tilt=-22.5, downwards=True, fields=FIELDS),
    "unequal gaps": Scan(tilt=14.0, gaps=(2.5,) * 12 + (7.0,) * 11, fields=FIELDS),
    "a slice missing": Scan(tilt=14.0, gaps=(5.0,) * 9 + (10.0,) + (5.0,) * 12, fields=FIELDS),
}
PICTURE = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)


def shared_options(folder: Path, place: Path) -> list[str]:
    series = ["--input", str(folder), "--record", str(place / "ncct.json")]
    return [*CASE, *SETTINGS[1:], *series, "--algorithm", "network", "--algorithm-version", "1"]


def make_seg(folder: Path, place: Path, empty: bool = False) -> np.ndarray:
    """Ingest a series, draw a mask, write lesion.dcm into ``place``; return the mask (column, row, slice)."""
    ingest_ncct(folder, place)
    mask = np.zeros(stack_of(read_json(place / "ncct.json")).shape, np.uint8)
    if not empty:
        mask[10:17, 20:29, 5:12] = 1
        mask[40, 30, -1] = 1
    save_volume(place / "lesion.nii.gz", Volume(mask, np.eye(4)), np.uint8)
    lesion = ["--lesion", str(place / "lesion.nii.gz"), "--out", str(place / "lesion.dcm")]
    dicom_seg.main([*shared_options(folder, place), *lesion])
    return mask


def make_report(folder: Path, place: Path) -> None:
    np.save(place / "report.npy", PICTURE)
    files = ["--picture", str(place / "report.npy"), "--out", str(place / "report.dcm")]
    dicom_report.main([*shared_options(folder, place), *files])


@pytest.fixture(scope="module", params=SERIES)
def made(request, tmp_path_factory) -> tuple[Scan, Path, np.ndarray]:
    """A series, the folder that holds it (dicom/) and lesion.dcm, and the mask."""
    scan, place = SERIES[request.param], tmp_path_factory.mktemp("made")
    return scan, place, make_seg(write_series(scan, place / "dicom"), place)


def sources(place: Path) -> list[pydicom.Dataset]:
    images = [pydicom.dcmread(path) for path in (place / "dicom").iterdir()]
    return sorted(images, key=lambda image: float(image.ImagePositionPatient[2]))


def test_every_frame_lies_on_the_slice_that_it_refers_to(made):
    scan, place, mask = made
    segmentation = highdicom.seg.segread(place / "lesion.dcm")
    uids = [image.SOPInstanceUID for image in sources(place)]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(pixels[..., 0], mask.transpose(2, 1, 0))
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(np.array(orientation, float), np.concatenate(scan.directions), atol=1e-5)
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == list(scan.pixel)
    groups = segmentation.PerFrameFunctionalGroupsSequence
    assert len(groups) == 8
    for frame in groups:
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        where = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(where, scan.origins[uids.index(uid)], atol=0.01)


def test_an_empty_mask_is_an_object_that_marks_nothing(tmp_path):
    make_seg(write_series(SERIES["tilted"], tmp_path / "dicom"), tmp_path, empty=True)
    segmentation = highdicom.seg.segread(tmp_path / "lesion.dcm")
    uids = [image.SOPInstanceUID for image in sources(tmp_path)]
    assert not segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True).any()
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", "-new", tmp_path / "lesion.dcm"], capture_output=True, text=True)
        assert done.stderr.splitlines() == ["Segmentation"]


def test_the_distance_between_slices_is_along_their_normal_or_left_out(made):
    scan, place, _ = made
    measures = pydicom.dcmread(place / "lesion.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 5
    if len(set(scan.gaps)) > 1:
        assert "SpacingBetweenSlices" not in measures
    else:
        assert measures.SpacingBetweenSlices == pytest.approx(5 * np.cos(np.radians(scan.tilt)), abs=1e-4)


def test_the_report_is_a_picture_on_the_same_study_that_names_nobody(made):
    _, place, _ = made
    make_report(place / "dicom", place)
    report, series = pydicom.dcmread(place / "report.dcm"), sources(place)
    np.testing.assert_array_equal(report.pixel_array, PICTURE)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber"):
        assert report[keyword].value == series[0][keyword].value
    assert report.SeriesInstanceUID != series[0].SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in report.SourceImageSequence} == {
        one.SOPInstanceUID for one in series
    }
    assert (report.BurnedInAnnotation, report.RecognizableVisualFeatures) == ("NO", "NO")
    assert "research use only" in report.SeriesDescription


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed: `make dciodvfy` does that")
def test_dciodvfy_finds_no_error_in_the_objects(made):
    _, place, _ = made
    make_report(place / "dicom", place)
    for name, kind in (("lesion.dcm", "Segmentation"), ("report.dcm", "SCImage")):
        done = subprocess.run(["dciodvfy", "-new", place / name], capture_output=True, text=True)
        assert done.stderr.splitlines() == [kind]


def test_frames_of_one_enhanced_object_are_referred_to_by_their_number(tmp_path):
    scan = replace(SERIES["tilted"], fields={})
    folder = write_enhanced(scan, tmp_path / "dicom" / "one.dcm", [*range(10, 24), *range(10)])
    mask = make_seg(folder, tmp_path)
    source, segmentation = pydicom.dcmread(folder / "one.dcm"), pydicom.dcmread(tmp_path / "lesion.dcm")
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        of_source = source.PerFrameFunctionalGroupsSequence[int(reference.ReferencedFrameNumber) - 1]
        expected = of_source.PlanePositionSequence[0].ImagePositionPatient
        assert frame.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(expected, abs=0.01)
    assert segmentation.pixel_array.sum() == mask.sum()
