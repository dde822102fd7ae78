"""Of all that a hospital sends, the non-contrast soft-tissue series is found; where two are equal, the user decides."""

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from tests.ingest.command import ingest_ncct as ingest
from tests.ingest.dicom_series import (
    ENCODERS,
    Scan,
    compress,
    head_hu,
    inside_head,
    write_enhanced,
    write_series,
)
from workflow_scripts.common.dicom.series import missing_slices
from workflow_scripts.common.errors import InputError

SOFT, BONE = {"ConvolutionKernel": "H31s"}, {"ConvolutionKernel": "H70h"}
THIN = (2.5,) * 46
CORONAL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def decisions(record: dict) -> dict[int, str]:
    return {one["number"]: one["decision"] for one in record["series"]}


def largest_error(image: nib.Nifti1Image) -> float:
    index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    points = nib.affines.apply_affine(image.affine, index)
    inner = inside_head(points, margin_mm=14)
    assert inner.sum() > 15_000
    return float(np.abs(image.get_fdata() - head_hu(points))[inner].max())


def write_litter(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "readme.txt").write_text("not an image " * 50)
    (folder / "Thumbs.db").write_bytes(bytes(range(256)) * 8)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "half").write_bytes(b"\0" * 128 + b"DICM")
    os.mkfifo(folder / "pipe")
    report = pydicom.Dataset()
    report.SOPClassUID, report.SOPInstanceUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.67", "1.2.9", "SR"
    report.file_meta = pydicom.dataset.FileMetaDataset()
    report.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    report.save_as(folder / "dose", enforce_file_format=True)


def write_study(folder: Path) -> Path:
    """A whole study: what a scanner and its workplace make of one emergency."""
    scout = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    derived = ("DERIVED", "SECONDARY", "AXIAL")
    write_series(Scan(number=1, gaps=(5.0,) * 11, image_type=scout), folder)
    write_series(Scan(number=2, fields=BONE), folder / "A")
    write_series(Scan(number=3, fields=BONE, gaps=THIN), folder / "A")
    write_series(Scan(number=4, fields=SOFT), folder / "B")
    write_series(Scan(number=5, fields=SOFT, gaps=THIN), folder / "B" / "C")
    write_series(Scan(number=6, fields=SOFT, gaps=THIN, image_type=derived), folder / "B" / "C")
    write_series(Scan(number=7, fields={**SOFT, "ContrastBolusAgent": "Iomeprol"}, gaps=(1.25,) * 92), folder / "CTA")
    write_series(Scan(number=8, fields={**SOFT, "SeriesDescription": "Angio 1.0"}, gaps=THIN), folder / "CTA")
    write_series(Scan(number=9, fields=SOFT, gaps=(1.0,) * 30), folder / "temporal")
    write_series(Scan(number=10, fields=SOFT, gaps=(1.25,) * 66), folder / "short")
    write_series(Scan(number=11, fields=SOFT, frame=CORONAL, gaps=(2.0,) * 70), folder / "coronal")
    write_series(Scan(number=12, modality="MR"), folder)
    write_series(Scan(number=13, fields={**SOFT, "RescaleType": "MGML"}), folder)
    write_litter(folder / "A" / "litter")
    return folder


def test_the_non_contrast_soft_tissue_series_of_a_study_is_chosen_and_all_are_recorded(tmp_path):
    image, record = ingest(write_study(tmp_path / "study"), tmp_path)
    assert decisions(record) == {
        1: "localizer",
        2: "sharper kernel than series 4",
        3: "sharper kernel than series 4",
        4: "slices farther apart than series 5",
        5: "chosen",
        6: "derived or lossy, unlike series 5",
        7: "contrast medium",
        8: "contrast medium",
        9: "it covers 31 mm, not a whole brain (80 mm)",
        10: "covers less of the head than series 4",
        11: "not axial, unlike series 2",
        12: "not CT",
        13: "the values are not HU by the headers",
    }
    assert record["chosen"] == {"series": 5, "output": "plain"}
    assert record["files_without_image"] == 6
    chosen = record["series"][4]
    assert (chosen["kernel"], chosen["plane"], chosen["images"], chosen["gap_mm"]) == ("soft", "axial", 47, 2.5)
    assert chosen["maker"] == "Siemens"
    assert image.shape[2] == 47
    assert largest_error(image) <= 1.5


def test_equally_good_series_are_named_and_the_sheet_decides(tmp_path):
    folder = write_series(Scan(number=3, fields=SOFT), tmp_path / "dicom")
    write_series(Scan(number=4, fields={"ConvolutionKernel": "H40s"}, values=lambda p: head_hu(p) + 5), folder)
    with pytest.raises(
        InputError,
        match=r"Equally good.*series 3 \(24 slices of 64 × 80, 5.00 mm apart, kernel soft\) and series 4 "
        r".*column ncct_series of the case sheet; --series for a single new patient\), "
        r"or put its images into a folder of their own",
    ):
        ingest(folder, tmp_path)
    assert decisions(ingest(folder, tmp_path, "--series", "4")[1]) == {3: "not series 4", 4: "chosen"}
    with pytest.raises(InputError, match=r"no series 7, only 3, 4.*column ncct_series.*--series"):
        ingest(folder, tmp_path, "--series", "7")


def test_equal_series_of_one_number_can_only_be_told_apart_by_folder(tmp_path):
    folder = write_series(Scan(), tmp_path / "dicom" / "a")
    shutil.move(write_series(Scan(values=lambda p: head_hu(p) + 5), tmp_path / "b"), folder)
    with pytest.raises(InputError, match="Remedy: put its images into a folder of their own") as refused:
        ingest(folder.parent, tmp_path)
    assert "ncct_series" not in str(refused.value)


def test_the_word_of_the_sheet_outweighs_a_mark_of_contrast(tmp_path):
    folder = write_series(Scan(fields={"ContrastBolusAgent": "Iomeprol"}), tmp_path / "dicom")
    with pytest.raises(InputError, match=r"series 3: contrast medium.*ncct_series.*--series"):
        ingest(folder, tmp_path)
    assert decisions(ingest(folder, tmp_path, "--series", "3")[1]) == {3: "chosen"}


ADMISSION = {"StudyInstanceUID": "1.2.10", "StudyDate": "20200101", "AcquisitionTime": "101010"}
TIMES = {
    "a week later": ({"StudyInstanceUID": "1.2.11", "StudyDate": "20200108"}, True),
    "a week later in one study": ({"StudyDate": "20200108"}, True),
    "hours later": ({"StudyInstanceUID": "1.2.11", "AcquisitionTime": "161010"}, True),
    "another study, times wiped out": ({"StudyInstanceUID": "1.2.11", "AcquisitionTime": "000000"}, True),
    "another order, minutes later": ({"StudyInstanceUID": "1.2.11", "AcquisitionTime": "102010"}, False),
    "no study": ({"StudyInstanceUID": "", "AcquisitionTime": ""}, False),
}


@pytest.mark.parametrize("time", TIMES)
def test_of_examinations_at_different_times_the_user_names_one(time, tmp_path):
    """The thinner one is the right one of two series of one examination, not of admission and follow-up."""
    changes, several = TIMES[time]
    folder = write_series(Scan(gaps=(8.0,) * 13, number=3, fields=ADMISSION), tmp_path / "dicom")
    write_series(Scan(gaps=(4.0,) * 26, number=5, fields=ADMISSION | changes), folder)
    if several:
        with pytest.raises(InputError, match=r"different times: series 3, 5\..*column ncct_series"):
            ingest(folder, tmp_path)
    _, record = ingest(folder, tmp_path, *(["--series", "5"] if several else []))
    assert record["chosen"]["series"] == 5


@pytest.mark.parametrize(
    ("fields", "enhanced"),
    [
        ({"ContrastBolusVolume": 80}, True),
        ({"ContrastBolusIngredient": "IODINE"}, True),
        ({"ContrastFlowRate": 4}, True),
        ({"ContrastBolusVolume": 0, "ContrastBolusAgent": "Kein KM"}, False),
    ],
)
def test_contrast_medium_shows_in_any_field_that_tells_of_it(fields, enhanced, tmp_path):
    folder = write_series(Scan(gaps=(8.0,) * 13, number=2, fields=fields), tmp_path / "dicom")
    write_series(Scan(gaps=(4.0,) * 26, number=7, fields={"SeriesDescription": "CTA"}), folder)
    if enhanced:
        with pytest.raises(InputError, match="series 2: contrast medium"):
            ingest(folder, tmp_path)
    else:
        assert ingest(folder, tmp_path)[1]["chosen"]["series"] == 2


def test_kernels_mixed_in_one_series_are_parted(tmp_path):
    folder = write_series(Scan(fields={**SOFT, "SeriesInstanceUID": "1.2.7"}), tmp_path / "a")
    bone = Scan(fields={**BONE, "SeriesInstanceUID": "1.2.7"}, values=lambda p: head_hu(p) + 9)
    shutil.move(write_series(bone, tmp_path / "b"), folder)
    image, record = ingest(folder, tmp_path)
    assert [one["kernel"] for one in record["series"] if one["decision"] == "chosen"] == ["soft"]
    assert largest_error(image) <= 1.5


def test_that_every_other_slice_was_left_out_is_recorded(tmp_path):
    """Equal gaps look whole; the thickness that the headers state tells."""
    folder = write_series(Scan(), tmp_path / "dicom")
    for path in sorted(folder.iterdir(), key=lambda path: path.name[-3:])[1::2]:
        path.unlink()
    assert ingest(folder, tmp_path)[1]["gap_over_thickness"] == pytest.approx(2)


def test_a_sharp_kernel_is_better_than_none_and_warned_of(tmp_path, caplog):
    ingest(write_series(Scan(fields=BONE), tmp_path / "dicom"), tmp_path)
    assert "sharp kernel" in caplog.text


@pytest.mark.parametrize("resent", [False, True])
def test_copies_of_an_image_count_once(resent, tmp_path):
    folder = write_series(Scan(), tmp_path / "dicom")
    for path in list(folder.iterdir())[::3]:
        image = pydicom.dcmread(path)
        if resent:
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        (folder / "again").mkdir(exist_ok=True)
        image.save_as(folder / "again" / path.name)
    image, record = ingest(folder, tmp_path)
    assert record["series"][0]["images"] == 24
    assert largest_error(image) <= 1.5


def test_a_study_on_a_medium_with_a_directory_is_read(tmp_path):
    written = FileSet()
    patient = {"PatientID": "1", "PatientName": "A", "StudyID": "1", "StudyTime": "101010"}
    for path in write_series(Scan(fields=patient), tmp_path / "dicom").iterdir():
        written.add(path)
    written.write(tmp_path / "medium")
    assert (tmp_path / "medium" / "DICOMDIR").is_file()
    image, record = ingest(tmp_path / "medium", tmp_path)
    assert record["files_without_image"] == 1
    assert largest_error(image) <= 1.5


def test_links_are_followed_once(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "images").symlink_to(write_series(Scan(), tmp_path / "elsewhere"))
    (folder / "loop").symlink_to(folder)
    assert largest_error(ingest(folder, tmp_path)[0]) <= 1.5


POSTURES = {
    "feet first": np.diag([-1.0, 1, -1]),
    "prone": np.diag([-1.0, -1, 1]),
    "feet first, prone": np.diag([1.0, -1, -1]),
    "decubitus right": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "decubitus left": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "feet first, decubitus": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]),
}


@pytest.mark.parametrize("tilt", [0.0, 15.0, -15.0])
@pytest.mark.parametrize("posture", POSTURES)
def test_every_posture_ends_upright(posture, tilt, tmp_path):
    scan = Scan(tilt=tilt, frame=POSTURES[posture], rows=80, columns=80, pixel=(2.2, 2.2))
    image, _ = ingest(write_series(scan, tmp_path / "dicom"), tmp_path)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert largest_error(image) <= 1.5


@pytest.mark.parametrize("syntax", [*ENCODERS, pydicom.uid.RLELossless])
def test_compressed_pixels_are_those_of_the_plain_series(syntax, tmp_path):
    scan = Scan(tilt=-15.0)
    plain, _ = ingest(write_series(scan, tmp_path / "plain"), tmp_path / "1")
    packed, _ = ingest(compress(write_series(scan, tmp_path / "packed"), syntax), tmp_path / "2")
    assert np.array_equal(plain.dataobj, packed.dataobj)
    np.testing.assert_array_equal(plain.affine, packed.affine)


@pytest.mark.parametrize("syntax", [None, pydicom.uid.JPEGLSLossless, pydicom.uid.RLELossless])
@pytest.mark.parametrize(
    "scan", [Scan(), Scan(tilt=15.0), Scan(tilt=-12.0, gaps=(3.0,) * 12 + (6.0,) * 12)], ids=["plain", "tilt", "uneven"]
)
def test_an_enhanced_object_gives_the_image_of_the_classic_series(scan, syntax, tmp_path):
    count = len(scan.origins)
    order = np.random.default_rng(3).permutation(count).tolist()
    classic, _ = ingest(write_series(scan, tmp_path / "classic"), tmp_path / "1")
    folder = write_enhanced(scan, tmp_path / "enhanced" / "object", order)
    if syntax:
        compress(folder, syntax)
    enhanced, record = ingest(folder, tmp_path / "2")
    assert np.array_equal(classic.dataobj, enhanced.dataobj)
    np.testing.assert_allclose(classic.affine, enhanced.affine, atol=1e-4)
    assert record["series"][0]["kernel"] == "soft"
    assert record["series"][0]["images"] == count


@pytest.mark.parametrize(
    ("gaps", "missing"),
    [
        ((5.0,) * 20, 0),
        ((3.0,) * 8 + (6.0,) * 10, 0),
        ((5.0,) * 8 + (10.0,) + (5.0,) * 8, 1),
        ((5.0,) * 8 + (10.0, 10.0) + (5.0,) * 8, 2),
        ((5.0,) * 8 + (20.0,) + (5.0,) * 8, 3),
        ((5.0, 10.0) + (5.0,) * 12 + (10.0, 5.0), 2),
        ((2.5, 5.1, 2.4) + (2.5,) * 9 + (5.0,) * 5, 1),
        ((5.0, 4.9, 5.1, 5.0, 4.0, 6.0, 5.0, 5.0, 5.0), 0),
    ],
)
def test_missing_slices_are_counted_and_a_change_of_the_gap_is_none(gaps, missing):
    assert missing_slices(np.concatenate([[0], np.cumsum(gaps)])) == missing
