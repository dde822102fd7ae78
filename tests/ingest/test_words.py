"""Words of real headers (words.tsv) mean what radiographers mean by them."""

import pytest

from tests.workflow import ROOT
from workflow_scripts.common.dicom.computed import computed
from workflow_scripts.common.dicom.contrast import is_agent, says_contrast
from workflow_scripts.common.dicom.diffusion import kind_of
from workflow_scripts.common.dicom.kernels import sharpness
from workflow_scripts.common.dicom.makers import maker
from workflow_scripts.common.files import read_tsv

WORDS = [(row["what"], row["text"], row["meaning"]) for row in read_tsv(ROOT / "tests" / "ingest" / "words.tsv")]
MEANING = {
    "contrast": lambda text: "enhanced" if says_contrast(text) else "native",
    "agent": lambda text: "enhanced" if is_agent(text) else "native",
    "diffusion": lambda text: kind_of(set(), text, None),
    "kernel": lambda text: sharpness(text, set()),
    "maker": maker,
    "series": lambda text: computed(set(), text) or "acquired",
    "description": lambda text: sharpness("", set(text.split())),
}


@pytest.mark.parametrize(("what", "text", "meaning"), WORDS, ids=[f"{what}-{text}" for what, text, _ in WORDS])
def test_words_of_headers(what, text, meaning):
    assert MEANING[what](text) == meaning


def test_a_b_value_makes_a_dwi_and_an_image_type_an_adc_map():
    assert kind_of(set(), "AXIAL", 1000.0) == "dwi"
    assert kind_of({"DERIVED", "ADC"}, "AXIAL", None) == "adc"
    assert kind_of(set(), "AXIAL", 0.0) == "unknown"
    assert kind_of({"ORIGINAL", "PRIMARY", "P", "ND"}, "DWI", 1000.0) == "other"
