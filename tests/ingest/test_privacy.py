"""No name, date or identifier of a header reaches a file, a log, a warning or a message of the stage."""

import gzip
import io
import logging
import warnings
from collections.abc import Callable, Set
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from tests.ingest.command import CASE, mri_command, ncct_arguments
from tests.ingest.dicom_series import Scan, edit, head_hu, inside_head, write_enhanced, write_series
from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion
from workflow_scripts.ingest.ingest_mri import main as ingest_mri
from workflow_scripts.ingest.ingest_ncct import main as ingest_ncct

WORD, DATE, TIME, UID, AGE = "Zxqwv", "19770707", "131517", "1.2.840.31337424", "077Y"
PLANTED = [WORD, WORD.upper(), DATE, TIME, "31337424", AGE]
TEXT = dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"), WORD)
VALUES = TEXT | {"DA": DATE, "DT": DATE + TIME, "TM": TIME, "UI": UID, "AS": AGE}
# Without these the files would be no CT or MR images; all of them are codes, not free text.
NEEDED = {"Modality", "ImageType", "PhotometricInterpretation", "SOPClassUID", "SOPInstanceUID", "RescaleType"}
FEW = (10.0,) * 10


IDENTIFYING = {
    *("PatientName", "PatientID", "PatientBirthDate", "PatientAge", "AccessionNumber", "StudyID", "StudyDate"),
    *("SeriesDescription", "ProtocolName", "InstitutionName", "ReferringPhysicianName", "StationName"),
    *("SeriesInstanceUID", "StudyInstanceUID", "SeriesTime", "ConvolutionKernel", "Manufacturer"),
}


def planted_fields(keywords: Set[str]) -> Dataset:
    """A header with text, date, time or identifier in every one of these fields, and in a private one."""
    header = Dataset()
    with pydicom.config.disable_value_validation():
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            if vr in VALUES and keyword in keywords:
                header.add_new(tag, vr, VALUES[vr])
        header.private_block(0x0009, WORD, create=True).add_new(0x01, "LO", WORD)
    return header


ALL = planted_fields({entry[4] for tag, entry in DicomDictionary.items() if tag >> 16 > 0x0002} - NEEDED - {""})
SOME = planted_fields(IDENTIFYING)


def plant(folder: Path, header: Dataset) -> Path:
    def add(image: Dataset) -> None:
        image.update(header)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{image.InstanceNumber}"

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        return edit(folder, add)


def say(main: Callable, arguments: list[str]) -> tuple[int, str]:
    """Run a command line; return its exit status, and what it logged and warned of."""
    stream, status = io.StringIO(), 0
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            run(main, arguments)
    except SystemExit as ended:
        status = ended.code
    finally:
        logging.getLogger().removeHandler(handler)
    return status, stream.getvalue() + "\n".join(str(warning.message) for warning in warned)


@pytest.fixture
def tell(tmp_path, capfd) -> Callable[..., str]:
    """Run a command line and return all that it wrote and said, with nothing planted in it."""

    def tell(main: Callable, arguments: list[str], status: int = 0) -> str:
        capfd.readouterr()
        ended, logged = say(main, arguments)
        assert ended == status
        said = [logged, *capfd.readouterr()]
        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        contents = [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files]
        everything = b"\n".join([*contents, *(text.encode() for text in said)])
        leaks = [line for line in everything.splitlines() if any(word.encode() in line for word in PLANTED)]
        assert [line[:300] for line in leaks] == []
        assert bool(files) == (status == 0)
        return everything.decode("latin-1")

    return tell


def test_the_planted_header_is_as_full_as_dicom_allows():
    assert len(ALL) > 1800
    assert ALL.PatientName == ALL.ConvolutionKernel == WORD
    assert (ALL.StudyDate, ALL.StudyInstanceUID, ALL.PatientAge) == (DATE, UID, AGE)


def test_a_converted_series_tells_nothing(tmp_path, tell):
    folder = plant(write_series(Scan(gaps=FEW, tilt=-15.0), tmp_path / "dicom"), ALL)
    # The planted text stands in ContrastBolusAgent too, so that only the user's word makes the series usable.
    assert '"decision": "chosen' in tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out", "--series=3"))


def test_an_enhanced_object_tells_nothing(tmp_path, tell):
    folder = plant(write_enhanced(Scan(gaps=FEW), tmp_path / "dicom" / "object"), ALL)
    assert '"decision": "chosen' in tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out", "--series=3"))


def test_an_mr_series_tells_nothing(tmp_path, tell):
    scan = Scan(gaps=FEW, modality="MR", values=lambda points: 500.0 * inside_head(points))
    folder = plant(write_series(scan, tmp_path / "dicom"), ALL)
    tell(ingest_mri, mri_command(folder, tmp_path / "out" / "dwi.nii.gz"))


def overlay(image: Dataset) -> None:
    for element, vr, value in ((0x10, "US", 8), (0x11, "US", 8), (0x3000, "OW", bytes(8)), (0x22, "LO", WORD)):
        image.add_new(0x60020000 + element, vr, value)


def graphics(image: Dataset) -> None:
    item = Dataset()
    item.GraphicLayer = WORD
    image.GraphicAnnotationSequence = [item]


SIGNS = {
    "burned-in annotation": lambda image: setattr(image, "BurnedInAnnotation", "YES"),
    "recognisable features": lambda image: setattr(image, "RecognizableVisualFeatures", "YES"),
    "secondary capture": lambda image: setattr(image, "ConversionType", "WSD"),
    "overlay": overlay,
    "graphic annotation": graphics,
}


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_sign_of_text_or_a_face_in_the_pixels_of_one_image_is_recorded(sign, modality, tmp_path, tell):
    values = head_hu if modality == "CT" else lambda points: 500.0 * inside_head(points)
    folder = write_series(Scan(gaps=FEW, modality=modality, values=values), tmp_path / "dicom")
    edit(folder, SIGNS[sign], every=False)
    out = tmp_path / "out"
    if modality == "CT":
        tell(ingest_ncct, ncct_arguments(folder, out))
    else:
        tell(ingest_mri, mri_command(folder, out / "dwi.nii.gz"))
    assert read_json(out / ("ncct.json" if modality == "CT" else "dwi.json"))["marks"] == [sign]


def test_a_screen_that_was_saved_as_ct_is_recorded(tmp_path, tell):
    folder = write_series(Scan(gaps=FEW), tmp_path / "dicom")
    edit(folder, lambda image: setattr(image, "SOPClassUID", SecondaryCaptureImageStorage))
    tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"))
    assert read_json(tmp_path / "out" / "ncct.json")["marks"] == ["secondary capture"]


def test_that_nothing_is_burned_in_is_no_sign(tmp_path, tell):
    folder = write_series(Scan(gaps=FEW), tmp_path / "dicom")
    edit(folder, lambda image: image.update({0x00280301: pydicom.DataElement(0x00280301, "CS", "NO")}))
    edit(folder, lambda image: setattr(image, "PatientIdentityRemoved", "NO"))
    tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"))
    assert read_json(tmp_path / "out" / "ncct.json")["marks"] == []


def test_equal_series_are_named_without_their_descriptions(tmp_path, tell):
    folder = plant(write_series(Scan(gaps=FEW), tmp_path / "dicom"), SOME)
    more = edit(write_series(Scan(gaps=FEW, number=4), tmp_path / "more"), lambda image: image.update(SOME))
    edit(more, lambda image: setattr(image, "SeriesInstanceUID", f"{UID}.4")).rename(folder / "more")
    said = tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"), status=1)
    assert "series 3" in said and "series 4" in said


def test_two_patients_are_counted_not_named(tmp_path, tell):
    folder = plant(write_series(Scan(gaps=FEW), tmp_path / "dicom"), SOME)
    edit(folder, lambda image: setattr(image, "PatientID", f"{WORD}2"), every=False)
    assert "2 patients" in tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"), status=1)


NUMERIC = ("SeriesNumber", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient", "RescaleSlope", "Rows", "Columns")


@pytest.mark.parametrize("keyword", NUMERIC)
def test_text_in_a_numeric_field_is_not_repeated(keyword, tmp_path, tell):
    def mistake(image: Dataset) -> None:
        with pydicom.config.disable_value_validation():
            image[keyword] = pydicom.DataElement(keyword, "LO", WORD)

    folder = edit(write_series(Scan(gaps=FEW), tmp_path / "dicom"), mistake)
    tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"), status=0 if keyword == "SeriesNumber" else 1)


def test_names_of_files_inside_a_folder_are_not_repeated(tmp_path, tell):
    folder = write_series(Scan(gaps=FEW), tmp_path / "dicom")
    (folder / WORD).symlink_to(folder / f"{WORD}-gone")
    assert "cannot be read" in tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"), status=1)


def planted_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = WORD
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", WORD.encode()))
    nib.save(image, path)
    return path


def test_the_text_fields_of_nifti_stay_behind(tmp_path, tell):
    scan, out = Scan(), tmp_path / "out"
    ncct = planted_nifti(tmp_path / "ncct.nii.gz", scan.drawn(head_hu), scan.affine)
    tell(ingest_ncct, ncct_arguments(ncct, out))
    mask = planted_nifti(tmp_path / "mask.nii.gz", scan.drawn(lambda p: inside_head(p, 30)), scan.affine)
    fixed = ["--reference", str(out / "ncct.nii.gz"), "--record", str(out / "ncct.json")]
    tell(ingest_lesion, [*CASE, "--lesion", str(mask), *fixed, "--out", str(out / "lesion.nii.gz")])
