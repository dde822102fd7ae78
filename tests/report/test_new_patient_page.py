"""The page of a new patient speaks in words and units, and is a picture too."""

import re
from pathlib import Path

import numpy as np

from tests.report.new_patient import REPORT, page_arguments
from workflow_scripts.report import new_patient_page
from workflow_scripts.report.pages.new_patient import COMPARED, NOTHING, compared, numbers
from workflow_scripts.segment.model.reference import FLAGS


def test_every_number_that_a_scan_is_compared_by_has_a_name_and_a_unit():
    assert COMPARED.keys() == FLAGS.keys()
    row = compared([{"number": "brain_ml", "value": 1403.78, "low": 900.0, "high": 1800.0, "flag": ""}])[0]
    assert row == {"number": "brain volume, mL", "value": "1404", "low": "900", "high": "1800", "flag": ""}


def test_numbers_between_networks_are_told_where_there_are_several():
    one = REPORT | {"lesion_ml": 0.0321, "lesion_ml_of_seeds": [0.0321], "seed_dice": []}
    assert dict(numbers(one)) == {"lesion volume": "0.032 mL", "side": "left", "parts": "1", "brain volume": "1300 mL"}
    two = dict(numbers(REPORT))
    assert (two["one network alone"], two["Dice between networks"]) == ("10.0 to 15.0 mL", "0.80")
    three = dict(numbers(REPORT | {"lesion_ml_of_seeds": [0, 10.0, 15.0], "seed_dice": [0.8, 0.0, 0.0]}))
    assert three["one network alone"] == "0 to 15.0 mL"
    assert three["Dice between networks"] == "0.27 (0.00 to 0.80)"
    none = dict(numbers(REPORT | {"lesion_ml": 0.0, "lesion_ml_of_seeds": [0.0, 0.0], "seed_dice": [1.0]}))
    assert (none["lesion volume"], none["one network alone"]) == ("0 mL", "0 to 0 mL")
    assert "Dice between networks" not in none


def words(page: Path) -> str:
    """The page's text as a reader sees it."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script|svg).*?</\1>", "", page.read_text())).split())


def test_a_page_of_one_network_speaks_of_one_and_an_empty_mask_is_no_proof(tmp_path):
    page = tmp_path / "report.html"
    none = REPORT | {"lesion_ml": 0.0, "lesion_ml_of_seeds": [0.0], "seed_dice": [], "components": 0, "side": "none"}
    report = none | {"model": REPORT["model"] | {"seeds": [2]}, "flags": []}
    file = tmp_path / "report.npy"
    arguments = page_arguments(tmp_path, page, lesion_mm=0, report=report)
    new_patient_page.main([*arguments, "--out-picture", str(file)])
    said = words(page)
    assert NOTHING in said and "one network; model code" in said
    for wrong in ("networks", "at least one", "largest", "Dice", "nan"):
        assert wrong not in said
    new_patient_page.main(page_arguments(tmp_path, page))
    said = words(page)
    assert NOTHING not in said
    for right in ("2 networks, joined by majority", "marked by at least one network", "where the masks are largest"):
        assert right in said


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
