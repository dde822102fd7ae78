"""Series that were computed, or come from another machine, do not pass as native CT.

Maps are refused, estimates are recorded for a flag. The names of series are in words.tsv; here are the terms of DICOM
PS3.3 for ImageType.
"""

import nibabel as nib
import numpy as np
import pytest

from tests.ingest.command import ingest_ncct as ingest
from tests.ingest.dicom_series import Scan, head_hu, write_series
from workflow_scripts.common.dicom.computed import ESTIMATES, computed
from workflow_scripts.common.errors import InputError

TERMS = {
    "VMI": "monoenergetic",
    "MAT_REMOVED": "virtual non-contrast",
    "MAT_MODIFIED": "virtual non-contrast",
    "MAT_SPECIFIC": "material map",
    "MAT_FRACTIONAL": "material map",
    "MAT_VALUE_BASED": "material map",
    "EFF_ATOMIC_NUM": "material map",
    "ELECTRON_DENSITY": "material map",
    "MAXIMUM": "projection or rendering",
    "MIN_IP": "projection or rendering",
    "VOLUME_RENDER": "projection or rendering",
    "PROJECTION IMAGE": "projection or rendering",
    "SUBTRACTION": "subtraction",
    "MEAN": "",
    "AVERAGE": "",
    "MPR": "",
    "REFORMATTED": "",
    "ENERGY_PROP_WT": "",
}
FEW = (8.0,) * 13
NATIVE = Scan(number=9, gaps=FEW, fields={"SeriesDescription": "Head 5.0"}, values=lambda points: head_hu(points) + 5)
MARKS = {
    "virtual non-contrast": {"SeriesDescription": "DE_VNC 5.0"},
    "monoenergetic": {"ImageComments": "Monoenergetic Plus @ 70 keV"},
    "flat panel": {"ManufacturerModelName": "AXIOM-Artis"},
    "material map": {"DerivationDescription": "Iodine map"},
}


@pytest.mark.parametrize("term", TERMS)
def test_terms_of_the_image_type(term):
    assert computed({"DERIVED", "PRIMARY", "AXIAL", term}, "HEAD") == TERMS[term]


@pytest.mark.parametrize("kind", MARKS)
def test_a_native_series_is_chosen_before_one_that_was_computed(kind, tmp_path):
    """Even where the computed one is thinner and has a soft kernel."""
    fields = {"ConvolutionKernel": "Qr40d", **MARKS[kind]}
    folder = write_series(Scan(number=3, gaps=(4.0,) * 26, fields=fields), tmp_path / "dicom")
    _, record = ingest(write_series(NATIVE, folder), tmp_path)
    assert record["chosen"]["series"] == 9
    assert record["not_native"] == []


@pytest.mark.parametrize("kind", MARKS)
def test_a_computed_series_alone_is_refused_or_recorded(kind, tmp_path):
    folder = write_series(Scan(gaps=FEW, fields=MARKS[kind]), tmp_path / "dicom")
    if kind not in ESTIMATES:
        with pytest.raises(InputError, match=rf"series 3: {kind}.*ncct_series"):
            ingest(folder, tmp_path)
    _, record = ingest(folder, tmp_path, *([] if kind in ESTIMATES else ["--series", "3"]))
    assert record["not_native"] == [kind]


def test_hu_that_were_modified_are_estimates(tmp_path):
    folder = write_series(Scan(gaps=FEW, fields={"RescaleType": "HU_MOD"}), tmp_path / "dicom")
    assert ingest(folder, tmp_path)[1]["not_native"] == ["virtual non-contrast"]


def test_contrast_medium_that_the_user_named_is_recorded(tmp_path):
    folder = write_series(Scan(gaps=FEW, fields={"ContrastBolusAgent": "Iomeprol"}), tmp_path / "dicom")
    assert ingest(folder, tmp_path, "--series", "3")[1]["not_native"] == ["contrast medium"]


SIDECARS = {
    '{"SeriesDescription": "Head_VNC", "ImageType": ["DERIVED", "AXIAL"]}': ["virtual non-contrast"],
    '{"ImageType": ["DERIVED", "VMI"], "ContrastBolusIngredient": "IODINE"}': ["contrast medium", "monoenergetic"],
    '{"SeriesDescription": "Head with contrast"}': ["contrast medium"],
    '{"SeriesDescription": "Head 5.0 H31s", "ImageType": ["ORIGINAL"], "ContrastBolusIngredient": null}': [],
    '{"SeriesDescription": 5, "ImageType": {"a": 1}}': [],
    "[1, 2]": [],
    "no JSON": [],
}


@pytest.mark.parametrize("content", SIDECARS)
def test_the_json_beside_a_nifti_file_is_heard(content, tmp_path):
    grid = np.stack(np.meshgrid(*map(np.arange, (64, 80, 23)), indexing="ij"), axis=-1)
    affine = np.diag([2.0, 2.5, 5.0, 1.0])
    affine[:3, 3] = (-62, -104, 5)
    nib.save(
        nib.Nifti1Image(head_hu(nib.affines.apply_affine(affine, grid)).astype(np.int16), affine), tmp_path / "a.nii.gz"
    )
    (tmp_path / "a.json").write_text(content)
    assert ingest(tmp_path / "a.nii.gz", tmp_path)[1]["not_native"] == SIDECARS[content]
