from pathlib import Path

import jsonschema
import pytest
import yaml

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.phantom.body.plan import case_names, plan_case, plan_cohorts, sheet_row
from workflow_scripts.phantom.cohort import main, parse_patients
from workflow_scripts.phantom.scanner.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
DEMO = ["AISD=6", "APIS=5", "icoAIS=20", "CENTER-TBI=4"]
FULL = {"AISD": 397, "APIS": 60, "icoAIS": 167, "CENTER-TBI": 637}


def _demo():
    return plan_cohorts(parse_patients(DEMO), seed=2023)


def test_the_tracked_sheet_is_what_the_command_writes(tmp_path):
    sheet = tmp_path / "cases.tsv"
    main(["--patients", *DEMO, "--seed", "2023", "--voxel-mm", "3", "--slice-mm", "5", "--sheet-only", str(sheet)])
    assert sheet.read_bytes() == (ROOT / "profiles" / "demo" / "cases.tsv").read_bytes()


def test_the_sheet_does_not_depend_on_the_seed():
    patients = parse_patients(DEMO)
    first, second = ([sheet_row(plan) for plan in plan_cohorts(patients, seed)] for seed in (1, 2))
    assert first == second


def test_every_row_fits_the_schema_of_case_sheets():
    schema = yaml.safe_load((ROOT / "rules" / "schemas" / "cases.schema.yaml").read_text(encoding="utf-8"))
    for row in read_tsv(ROOT / "profiles" / "demo" / "cases.tsv"):
        jsonschema.validate(row, schema)


def test_case_names_are_unique_and_mean_the_same_case_whatever_the_size_of_the_cohort():
    for cohort, patients in FULL.items():
        names = case_names(cohort, patients)
        assert len(set(names)) == len(names)
        assert {plan_case(cohort, name, 1).number for name in names} == set(range(patients))
    assert plan_case("icoAIS", "I007", 5).lesions == plan_case("icoAIS", "I07", 5).lesions


def test_the_demo_plan_uses_every_branch():
    plans = _demo()
    ico = [plan for plan in plans if plan.cohort == "icoAIS"]
    aisd = [plan for plan in plans if plan.cohort == "AISD"]
    assert {plan.side for plan in ico} == {"left", "right", "bilateral", "none"}
    assert {"mca", "pca", "cerebellum", "cortex"} == {lesion.territory for plan in ico for lesion in plan.lesions}
    assert {plan.label_standard for plan in ico} == {"gold", "silver", ""}
    tilts = [plan.tilt_degrees for plan in aisd if not plan.exclude]
    assert min(tilts) <= -10
    assert max(tilts) >= 10
    assert 0 in tilts
    assert sum(bool(plan.exclude) for plan in aisd) == 1
    assert len({plan.patient for plan in aisd}) < len(aisd)
    assert {plan.side for plan in plans if plan.cohort == "APIS"} >= {"none", "left", "right"}
    assert not any(plan.lesions for plan in plans if plan.cohort == "CENTER-TBI")


def test_most_demo_lesions_are_larger_than_3_ml_and_some_are_emboli_only():
    totals = [sum(lesion.volume_ml for lesion in plan.lesions) for plan in _demo() if plan.cohort == "icoAIS"]
    stroke = [total for total in totals if total]
    assert sum(total > 3 for total in stroke) >= 0.8 * len(stroke)
    assert any(
        plan.lesions and all(lesion.volume_ml < 3 for lesion in plan.lesions)
        for plan in _demo()
        if plan.cohort == "icoAIS"
    )


def test_volumes_and_contrasts_of_a_full_study_stay_in_range():
    plans = plan_cohorts(FULL, seed=4)
    assert len(plans) >= sum(FULL.values())
    lesions = [lesion for plan in plans for lesion in plan.lesions]
    assert all(4 <= lesion.contrast_hu <= 12 for lesion in lesions)
    totals = [sum(lesion.volume_ml for lesion in plan.lesions) for plan in plans if plan.lesions]
    assert min(totals) >= 0.5
    assert max(totals) <= 150


@pytest.mark.parametrize(("cohort", "case"), [("AISD", "P01"), ("AISD", "A00"), ("icoAIS", "I1_2"), ("ISLES", "I01")])
def test_a_case_of_no_cohort_is_refused_by_name(cohort, case):
    with pytest.raises(InputError, match=case if cohort in LAYOUTS else cohort):
        plan_case(cohort, case, 1)


@pytest.mark.parametrize("text", ["AISD", "AISD=-1", "ISLES=3", "AISD=x"])
def test_numbers_of_patients_must_name_a_cohort_and_a_number(text):
    with pytest.raises(InputError, match="COHORT=N"):
        parse_patients([text])
