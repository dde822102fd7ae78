"""A sheet of other cohorts: what needs absent ones is left out with the reason; mistakes are not."""

import copy

import pytest
import yaml

from tests.bad_input.study import CONFIG, OTHERS, ROW, write_sheet
from tests.workflow import ROOT
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import load_study
from workflow_scripts.study.targets import stage_files


def load(folder, cohorts, change=None):
    sheet = write_sheet(
        folder / "cases.tsv", *(row | {"cohort": cohort} for cohort in cohorts for row in (ROW, *OTHERS))
    )
    config = copy.deepcopy(CONFIG) | {"cases": str(sheet)}
    for section, values in (change or {}).items():
        config[section] = config[section] | values if isinstance(values, dict) else values
    (folder / "mine.yaml").write_text(yaml.safe_dump({"cases": str(sheet), **(change or {})}))
    return load_study(config, [ROOT / "config.yaml", folder / "mine.yaml"], check_paths=False)


def test_a_sheet_of_any_cohort_can_be_preprocessed_with_the_shipped_configuration(tmp_path):
    study = load(tmp_path, ["MINE"])
    assert stage_files(study, "preprocess")
    assert study.arms == study.config["run"]["segment"] == study.pretrainings == []
    assert set(study.left_out) >= {"arms.FS-STKi", "image_sets.ALL", "pretrainings.ALL", "run.segment: icoAIS"}
    assert "'icoAIS' is not a cohort of the case sheet" in study.left_out["arms.FS-STKi"]


def test_a_cohort_with_one_mask_can_be_preprocessed_and_says_why_it_cannot_be_trained_on(tmp_path):
    write_sheet(tmp_path / "cases.tsv", ROW)
    config = copy.deepcopy(CONFIG) | {"cases": str(tmp_path / "cases.tsv")}
    study = load_study(config, [ROOT / "config.yaml"], check_paths=False)
    assert stage_files(study, "preprocess")
    assert "only one patient has a lesion mask" in study.left_out["arms.FS-STKi"]


def test_a_target_that_needs_an_arm_says_how_to_get_one(tmp_path):
    study = load(tmp_path, ["MINE"])
    with pytest.raises(StudyError, match=r"no arm of run\.arms can be trained .*MINE"):
        stage_files(study, "report")


def test_what_was_left_out_says_why_when_it_is_asked_for(tmp_path):
    study = load(tmp_path, ["MINE"])
    with pytest.raises(StudyError, match="'FS-STKi' of arms is left out of this study: 'icoAIS' is not a cohort"):
        study.arm("FS-STKi")


def test_arms_of_the_cohorts_that_are_there_stay_with_their_comparisons(tmp_path):
    study = load(tmp_path, ["icoAIS", "CENTER-TBI"])
    assert set(study.arms) == {"FS-STKi", "STKn-STKi", "STKn-STKi-SA", "FS-STKi-D", "STKn-STKi-D"}
    pairs = study.config["evaluate"]["comparisons"]["main"]
    assert all(set(pair) <= set(study.config["arms"]) for pair in pairs)
    assert study.config["report"]["interpreted"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": {"segment": ["MYNE"]}}, r"mine\.yaml, key run\.segment: 'MYNE'"),
        ({"run": {"arms": ["FS-STKi"]}}, r"mine\.yaml, key run\.arms: 'FS-STKi' is left out of this study: 'icoAIS'"),
        ({"report": {"interpreted": ["ALL"]}}, r"mine\.yaml, key report\.interpreted: 'ALL' is left out"),
    ],
)
def test_what_a_user_names_is_never_left_out_in_silence(tmp_path, change, message):
    with pytest.raises(StudyError, match=message):
        load(tmp_path, ["MINE"], change)


def test_a_sheet_with_all_cohorts_leaves_nothing_out(tmp_path):
    assert not load(tmp_path, ["AISD", "APIS", "icoAIS", "CENTER-TBI"]).left_out


def test_what_no_arm_has_is_pretrained_for_a_figure_only_where_a_user_asks(tmp_path):
    cohorts, arms = ["icoAIS", "AISD", "APIS", "CENTER-TBI"], ["FS-STKi", "ALL-STKi-SA"]
    mine = {"run": {"arms": arms}, "report": {"best_arms": arms}}
    assert load(tmp_path, cohorts, mine).pretrainings == ["ALL-SA"]
    mine["report"]["interpreted"] = ["ALL-D"]
    assert load(tmp_path, cohorts, mine).pretrainings == ["ALL-SA", "ALL-D"]
