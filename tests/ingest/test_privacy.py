"""No name, date or identifier of a header reaches a file, a log, a warning or a message of the stage."""

import argparse
import runpy
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.bad_input.kinds import Kind
from tests.bad_input.scans import small
from tests.bad_input.test_bad_input import SECTIONS
from tests.ingest.command import CASE, SETTINGS, mri_command, ncct_arguments
from tests.ingest.dicom_series import Scan, edit, head_hu, inside_head, write_enhanced, write_series
from tests.ingest.planted import (
    AGE,
    ALL,
    DATE,
    SOME,
    UID,
    WORD,
    made_with_words,
    plant,
    plant_in_nifti,
    planted_lines,
    say,
)
from tests.workflow import ROOT
from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.ingest import dicom_seg
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion
from workflow_scripts.ingest.ingest_mri import main as ingest_mri
from workflow_scripts.ingest.ingest_ncct import main as ingest_ncct

FEW = (10.0,) * 10


@pytest.fixture
def tell(tmp_path, capfd) -> Callable[..., str]:
    """Run a command line and return all that it wrote and said, with nothing planted in it."""

    def tell(main: Callable, arguments: list[str], status: int = 0) -> str:
        capfd.readouterr()
        ended, logged = say(main, arguments)
        assert bool(ended) == bool(status)
        said = [logged, *capfd.readouterr()]
        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert planted_lines(files, said) == []
        assert bool(files) == (status == 0)
        return "\n".join([*(path.read_text() for path in files if path.suffix == ".json"), *said])

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


CODES = ("Modality", "ImageType", "PhotometricInterpretation", "RescaleType", "SOPClassUID")


@pytest.mark.parametrize(
    ("modality", "keyword"), [*(("CT", keyword) for keyword in CODES), ("MR", "Modality"), ("MR", "ImageType")]
)
def test_text_in_a_field_of_codes_is_not_repeated(keyword, modality, tmp_path, capfd):
    values = head_hu if modality == "CT" else lambda points: 500.0 * inside_head(points)
    with pydicom.config.disable_value_validation():
        folder = edit(
            write_series(small(modality=modality, values=values), tmp_path / "dicom"),
            lambda image: setattr(image, keyword, UID if keyword == "SOPClassUID" else WORD),
        )
    out = tmp_path / "out"
    command = ncct_arguments(folder, out) if modality == "CT" else mri_command(folder, out / "dwi.nii.gz")
    _, logged = say(ingest_ncct if modality == "CT" else ingest_mri, command)
    assert planted_lines([path for path in out.rglob("*") if path.is_file()], [logged, *capfd.readouterr()]) == []


READERS = [
    path.relative_to(ROOT)
    for room in ("ingest", "datasets")
    for path in sorted((ROOT / "workflow_scripts" / room).glob("*.py"))
    if "__main__" in path.read_text()
]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("script", READERS, ids=str)
def test_a_script_that_reads_what_a_user_gives_tells_of_no_fault_in_the_words_of_an_exception(
    script, monkeypatch, caplog, capfd
):
    def fail(*_: object, **__: object) -> None:
        raise ValueError(WORD)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", fail)
    with pytest.raises(SystemExit) as ended:  # where it does not, the words are in a traceback
        runpy.run_module(".".join(script.with_suffix("").parts), run_name="__main__")
    assert ended.value.code
    assert "a fault of this program" in caplog.text
    assert WORD not in "".join([caplog.text, *capfd.readouterr()])


def test_names_of_files_inside_a_folder_are_not_repeated(tmp_path, tell):
    folder = write_series(Scan(gaps=FEW), tmp_path / "dicom")
    (folder / WORD).symlink_to(folder / f"{WORD}-gone")
    assert "cannot be read" in tell(ingest_ncct, ncct_arguments(folder, tmp_path / "out"), status=1)


def planted_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    nib.save(plant_in_nifti(nib.Nifti1Image(data.astype(np.float32), affine)), path)
    return path


def test_the_text_fields_of_nifti_stay_behind(tmp_path, tell):
    scan, out = Scan(), tmp_path / "out"
    ncct = planted_nifti(tmp_path / WORD / f"{WORD}.nii.gz", scan.drawn(head_hu), scan.affine)
    tell(ingest_ncct, ncct_arguments(ncct, out))
    mask = planted_nifti(tmp_path / WORD / f"{WORD}-mask.nii.gz", scan.drawn(lambda p: inside_head(p, 30)), scan.affine)
    fixed = ["--reference", str(out / "ncct.nii.gz"), "--record", str(out / "ncct.json")]
    tell(ingest_lesion, [*CASE, "--lesion", str(mask), *fixed, "--out", str(out / "lesion.nii.gz")])


@pytest.mark.parametrize(
    ("main", "arguments", "kind"),
    [
        pytest.param(main, arguments, kind, id=f"{title}-{kind.name}")
        for title, (main, arguments, kinds) in SECTIONS.items()
        for kind in kinds
    ],
)
def test_no_bad_input_is_refused_in_its_own_words(main, arguments, kind: Kind, tmp_path, tell):
    source = made_with_words(kind.make, tmp_path / f"input{kind.suffix}")
    tell(main, [*arguments(source, tmp_path / "out"), *kind.options], status=1)


def deflated(folder: Path) -> Path:
    def change(image: Dataset) -> None:
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    return edit(write_series(small(modality="MR", values=lambda p: 500.0 * inside_head(p)), folder), change)


def test_a_deflated_mr_series_tells_nothing(tmp_path, tell):
    source = made_with_words(deflated, tmp_path / "dicom")
    tell(ingest_mri, mri_command(source, tmp_path / "out" / "dwi.nii.gz"))


FORMS = {
    **dict.fromkeys(("PatientID", "AccessionNumber", "StudyID"), WORD * 20),
    **dict.fromkeys(("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"), WORD),
    **dict.fromkeys(("StudyInstanceUID", "FrameOfReferenceUID", "SpecificCharacterSet"), WORD),
}
REFUSED = {("StudyInstanceUID", False), ("FrameOfReferenceUID", False), ("SpecificCharacterSet", True)}


def seg_command(folder: Path, place: Path) -> list[str]:
    """Arguments of dicom_seg for a scan that is ingested already, without its planted header, and a small mask."""
    ingest_ncct(ncct_arguments(folder, place))
    mask = np.zeros(stack_of(read_json(place / "ncct.json")).shape, np.uint8)
    mask[10:14, 10:14, 5:8] = 1
    save_volume(place / "lesion.nii.gz", Volume(mask, np.eye(4)), np.uint8)
    files = ["--record", str(place / "ncct.json"), "--lesion", str(place / "lesion.nii.gz")]
    algorithm = ["--algorithm", "network", "--algorithm-version", "1"]
    return [*CASE, *SETTINGS[1:], "--input", str(folder), *files, *algorithm, "--out", str(place / "lesion.dcm")]


@pytest.mark.parametrize("keyword", FORMS)
@pytest.mark.parametrize("is_there", [True, False], ids=["malformed", "missing"])
def test_a_dicom_segmentation_is_made_or_refused_without_a_word_of_the_header(keyword, is_there, tmp_path, capfd):
    def change(image: Dataset) -> None:
        if is_there:
            image[keyword] = pydicom.DataElement(keyword, pydicom.datadict.dictionary_VR(keyword), FORMS[keyword])
        elif keyword in image:
            del image[keyword]

    with pydicom.config.disable_value_validation():
        folder = edit(write_series(small(fields={"PatientName": WORD}), tmp_path / "dicom"), change)
    command = seg_command(folder, tmp_path / "out")
    capfd.readouterr()
    status, said = say(dicom_seg.main, command)
    assert planted_lines([], [said, *capfd.readouterr()]) == []
    assert bool(status) == ((keyword, is_there) in REFUSED)
