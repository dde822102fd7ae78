"""The page of a new patient speaks in words and units, and is a picture too."""

import numpy as np

from tests.report.new_patient import REPORT, page_arguments
from workflow_scripts.report import new_patient_page
from workflow_scripts.report.pages.new_patient import COMPARED, compared
from workflow_scripts.segment.model.reference import FLAGS


def test_every_number_that_a_scan_is_compared_by_has_a_name_and_a_unit():
    assert COMPARED.keys() == FLAGS.keys()
    row = compared([{"number": "brain_ml", "value": 1403.78, "low": 900.0, "high": 1800.0, "flag": ""}])[0]
    assert row == {"number": "brain volume, mL", "value": "1404", "low": "900", "high": "1800", "flag": ""}


def test_the_picture_shows_mask_and_warning_whatever_the_texts(tmp_path):
    notice = "$x$ {name} " + "a long notice " * 60
    page, file = tmp_path / "report.html", tmp_path / "report.npy"
    new_patient_page.main([*page_arguments(tmp_path, page, notice), "--out-picture", str(file)])
    picture = np.load(file).astype(int)
    assert picture.shape[1:] == (1600, 3)
    dark_red = (picture == (0x8B, 0, 0)).all(axis=2)
    for band in (dark_red[:60], dark_red[-60:]):
        assert band.mean() > 0.1
    red, green, blue = np.moveaxis(picture[60:-60], 2, 0)
    assert ((red > 200) & (green < 90) & (blue < 90)).sum() > 100
    assert REPORT["notice"] in page.read_text(encoding="utf-8")
