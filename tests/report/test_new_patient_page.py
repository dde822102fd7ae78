"""The page of a new patient speaks in words and units."""

from workflow_scripts.report.new_patient_page import COMPARED, compared
from workflow_scripts.segment.model.reference import FLAGS


def test_every_number_that_a_scan_is_compared_by_has_a_name_and_a_unit():
    assert COMPARED.keys() == FLAGS.keys()
    row = compared([{"number": "brain_ml", "value": 1403.78, "low": 900.0, "high": 1800.0, "flag": ""}])[0]
    assert row == {"number": "brain volume, mL", "value": "1404", "low": "900", "high": "1800", "flag": ""}
