"""The configuration and the case sheet: what is accepted; tests/bad_input has what is not."""

import copy

from tests.bad_input.study import CONFIG, OTHERS, ROW, load, write_sheet
from tests.workflow import ROOT
from workflow_scripts.study.case_sheet import load_cases
from workflow_scripts.study.study import load_study


def test_a_row_becomes_a_case_with_paths_below_the_root(tmp_path):
    case = load_cases(write_sheet(tmp_path / "cases.tsv", ROW), root="scans")[0]
    assert case.ncct == "scans/C1/ncct"
    assert case.mri == ("scans/C1/dwi.nii.gz", "scans/C1/adc.nii.gz")
    assert case.mri_modality == ("dwi", "adc")
    assert case.mri_aligned is False


def test_absolute_paths_stay_absolute(tmp_path):
    case = load_cases(write_sheet(tmp_path / "cases.tsv", ROW | {"ncct": "/data/C1"}), root="scans")[0]
    assert case.ncct == "/data/C1"


def test_excluded_cases_stand_apart(tmp_path):
    write_sheet(tmp_path / "cases.tsv", ROW, *OTHERS, ROW | {"case": "C4", "exclude": "motion"})
    study = load(tmp_path)
    assert [case.case for case in study.cases] == ["C1", "C2", "C3"]
    assert [case.exclude for case in study.excluded] == ["motion"]


def test_the_paper_configuration_is_valid_and_needs_its_nine_pretrainings(tmp_path):
    rows = [row | {"cohort": one} for one in ("AISD", "APIS", "icoAIS", "CENTER-TBI") for row in (ROW, *OTHERS)]
    config = copy.deepcopy(CONFIG) | {"cases": str(write_sheet(tmp_path / "cases.tsv", *rows))}
    study = load_study(config, [ROOT / "config.yaml"], check_paths=False)
    assert sorted(study.pretrainings) == sorted(set(config["pretrainings"]) - {"ALL-MAE"})
    assert study.images("ALL-D") == "ALL-D"
    assert study.images("ALL-SA") == "ALL"


def test_an_empty_sheet_is_a_study_without_cases(tmp_path):
    config = copy.deepcopy(CONFIG) | {"cases": str(write_sheet(tmp_path / "cases.tsv"))}
    assert load_study(config, [], check_paths=True).cases == ()


def test_columns_that_say_nothing_may_be_left_out(tmp_path):
    sheet = tmp_path / "cases.tsv"
    sheet.write_text("cohort\tpatient\tcase\tncct\nnew\tP1\tP1\tscan\n")
    with_all = tmp_path / "all.tsv"
    write_sheet(with_all, dict.fromkeys(ROW, "") | {"cohort": "new", "patient": "P1", "case": "P1", "ncct": "scan"})
    assert load_cases(sheet, None) == load_cases(with_all, None)
    sheet.write_text("Cohort\tPATIENT\t case\tNCCT\tX_age\nnew\tP1\tP1\tscan\t70\n")
    assert load_cases(sheet, None) == load_cases(with_all, None)
