"""The DWI and the ADC map of a study are told by b-values and words, never by the number of their images."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.ingest.command import mri_command
from tests.ingest.dicom_series import Scan, edit, inside_head, write_series
from workflow_scripts.common.errors import InputError
from workflow_scripts.ingest.ingest_mri import main

GAPS = (5.0,) * 19
DERIVED = ("DERIVED", "SECONDARY", "PROCESSED")
ORIGINAL = ("ORIGINAL", "PRIMARY", "OTHER")


def write(folder: Path, number: int, value: float, description: str, b: float | None = None, **how: object) -> Path:
    """Write one volume whose head has one value; several of one number make one series."""
    fields = {"SeriesDescription": description, "RescaleIntercept": -1024, "SeriesInstanceUID": f"1.2.{number}"}
    how = {"image_type": ORIGINAL, "gaps": GAPS} | how
    scan = Scan(modality="MR", number=number, values=lambda p: value * inside_head(p), fields=fields, **how)
    target = write_series(scan, folder / f"{number}-{b}-{value:g}")
    for path in target.iterdir() if b is not None else ():
        image = pydicom.dcmread(path)
        add_b(image, b)
        image.save_as(path)
    return folder


def add_b(image: Dataset, b: float) -> None:
    image.add_new(0x00189087, "FD", float(b))


def study(folder: Path) -> Path:
    write(folder, 5, 400, "DWI", b=0)
    write(folder, 5, 200, "DWI", b=1000)
    write(folder, 6, 800, "Apparent Diffusion Coefficient (mm2/s)", image_type=DERIVED)
    write(folder, 9, 150, "AX FLAIR")
    return write(folder, 11, 90, "SWI", gaps=(1.5,) * 79)


def ingest(source: Path, target: Path, modality: str, *extra: str) -> tuple[float, dict]:
    image = target / f"{modality}.nii.gz"
    main(mri_command(source, image, modality, *extra))
    data = nib.load(image).get_fdata()
    return float(np.median(data[data > 20])), json.loads((target / f"{modality}.json").read_text())


@pytest.mark.parametrize(("modality", "value", "number"), [("dwi", 200, 5), ("adc", 800, 6)])
def test_words_and_b_values_choose_and_every_candidate_is_recorded(modality, value, number, tmp_path):
    found, record = ingest(study(tmp_path / "study"), tmp_path, modality)
    assert found == value
    assert record["chosen"]["series"] == number
    assert {one["number"]: one["kind"] for one in record["series"]} == {5: "dwi", 6: "adc", 9: "other", 11: "other"}


@pytest.mark.parametrize(
    ("creator", "name", "element", "vr", "value"),
    [
        (0x00190010, "SIEMENS MR HEADER", 0x0019100C, "IS", "1000"),
        (0x00430010, "GEMS_PARM_01", 0x00431039, "IS", ["1000001000", "8", "0", "0"]),
        (0x20010010, "Philips Imaging DD 001", 0x20011003, "FL", 1000.0),
    ],
    ids=["Siemens", "GE", "Philips"],
)
def test_b_values_in_the_private_fields_of_vendors_count(creator, name, element, vr, value, tmp_path):
    write(tmp_path / "study", 5, 400, "AXIAL", b=0)
    folder = write(tmp_path / "study", 5, 200, "AXIAL")
    for path in (folder / "5-None-200").iterdir():
        image = pydicom.dcmread(path)
        image.add_new(creator, "LO", name)
        image.add_new(element, vr, value)
        image.save_as(path)
    found, record = ingest(folder, tmp_path, "dwi")
    assert (found, record["chosen"]["b_value"]) == (200, 1000)


def test_a_tie_stops_and_names_both(tmp_path):
    write(tmp_path / "study", 5, 200, "DWI", b=1000)
    write(tmp_path / "study", 7, 210, "DWI", b=1000)
    with pytest.raises(InputError, match=r"MR series 5 \(20 slices\) and 7 \(20 slices\) are equally good as DWI"):
        ingest(tmp_path / "study", tmp_path, "dwi")


def test_of_two_examinations_none_is_chosen(tmp_path):
    write(tmp_path / "study", 5, 200, "DWI", b=1000)
    followed = edit(write(tmp_path / "later", 7, 210, "DWI", b=1500) / "7-1500-210", later)
    shutil.move(followed, tmp_path / "study")
    with pytest.raises(InputError, match=r"different times: MR series 5, 7"):
        ingest(tmp_path / "study", tmp_path, "dwi")


def later(image: Dataset) -> None:
    image.StudyDate, image.StudyInstanceUID = "20200103", "1.2.11"


def test_missing_slices_are_recorded_and_stop_the_case_beyond_the_limit(tmp_path):
    folder = write(tmp_path / "study", 5, 200, "DWI", b=1000)
    paths = sorted((folder / "5-1000-200").iterdir(), key=lambda path: path.name[-3:])
    paths[5].unlink()
    assert ingest(folder, tmp_path, "dwi")[1]["slices"]["missing"] == 1
    for path in (*paths[8:10], *paths[-2:]):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="slices are missing or damaged"):
        ingest(folder, tmp_path, "dwi")


def test_pixels_of_a_gigametre_are_refused_before_any_conversion(tmp_path):
    folder = write(tmp_path / "study", 5, 200, "DWI", b=1000, pixel=(1e9, 1e9))
    with pytest.raises(InputError, match="no scan of a head"):
        ingest(folder, tmp_path, "dwi")


def four_d(path: Path) -> Path:
    volumes = [np.full((30, 30, 12), value, np.float32) for value in (900, 100, 200)]
    for index, volume in enumerate(volumes):
        volume[0] = index
    nib.save(nib.Nifti1Image(np.stack(volumes, axis=-1), np.diag([7.0, 7, 5, 1])), path)
    return path


def test_a_4d_file_needs_b_values_or_the_number_of_a_volume(tmp_path):
    source = four_d(tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"3 volumes and does not say their b-values.*column mri_volume"):
        ingest(source, tmp_path, "dwi")
    assert ingest(source, tmp_path, "dwi", "--volume", "2")[0] == 100
    with pytest.raises(InputError, match=r"no number 4.*column mri_volume"):
        ingest(source, tmp_path, "dwi", "--volume", "4")
    (tmp_path / "scan.bval").write_text("0 1000 1000")
    assert ingest(source, tmp_path, "dwi")[0] == 150
    (tmp_path / "scan.bval").write_text("0 0 50")
    with pytest.raises(InputError, match="b-values of 50 s/mm2 at most, no DWI"):
        ingest(source, tmp_path, "dwi")


def test_the_b_values_of_a_dwi_choose_no_adc_map(tmp_path):
    source = four_d(tmp_path / "scan.nii.gz")
    (tmp_path / "scan.bval").write_text("0 1000 1000")
    with pytest.raises(InputError, match=r"3 volumes.*column mri_volume"):
        ingest(source, tmp_path, "adc")
    assert ingest(source, tmp_path, "adc", "--volume", "2")[0] == 100


def test_an_image_without_diffusion_weighting_is_no_dwi_whatever_it_is_called(tmp_path):
    with pytest.raises(InputError, match=r"series 5: a b-value of 0, no DWI"):
        ingest(write(tmp_path / "study", 5, 400, "DWI", b=0), tmp_path, "dwi")


@pytest.mark.parametrize("given", [8e-4, 0.8, 800], ids=["mm²/s", "µm²/ms", "1e-6 mm²/s"])
def test_an_adc_in_small_units_is_brought_to_the_usual_ones(given, tmp_path):
    data = np.full((30, 30, 12), given, np.float32)
    data[0] = 0
    nib.save(nib.Nifti1Image(data, np.diag([7.0, 7, 5, 1])), tmp_path / "scan.nii.gz")
    assert ingest(tmp_path / "scan.nii.gz", tmp_path, "adc")[0] == pytest.approx(800)


def test_a_header_with_shear_gets_a_remedy_that_fits(tmp_path):
    affine = np.diag([7.0, 7, 5, 1])
    affine[0, 1] = 0.2
    data = np.random.default_rng(0).random((30, 30, 12), np.float32)
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"shears the image.*give the image as acquired"):
        ingest(tmp_path / "scan.nii.gz", tmp_path, "dwi")
