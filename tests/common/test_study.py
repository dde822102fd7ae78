"""The configuration and the case sheet: what is accepted, and what a refusal says."""

import copy
from pathlib import Path

import pytest
import yaml

from workflow_scripts.common.study import StudyError, load_cases, load_study

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
COLUMNS = (ROOT / "cases.tsv").read_text().strip().split("\t")
ROW = {
    "cohort": "icoAIS",
    "patient": "P1",
    "case": "C1",
    "ncct": "C1/ncct",
    "mri": "C1/dwi.nii.gz;C1/adc.nii.gz",
    "mri_modality": "dwi;adc",
    "lesion": "C1/lesion.nii.gz",
    "lesion_space": "mri",
    "mri_aligned": "false",
    "stripped": "dwi;adc",
    "label_standard": "gold",
}


def write_sheet(path: Path, *rows: dict[str, str]) -> Path:
    lines = [COLUMNS, *([row.get(column, "") for column in COLUMNS] for row in rows)]
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    return path


def study_of(tmp_path: Path, change: dict | None = None, rows: list[dict[str, str]] | None = None):
    """Load a study of icoAIS alone, with some keys changed; the changes stand in a second file."""
    config = copy.deepcopy(CONFIG)
    healthy = {"cohort": "HEALTHY", "patient": "P1", "case": "C1", "ncct": "H1/ncct"}
    base = {
        "cases": str(write_sheet(tmp_path / "cases.tsv", *(rows or [ROW, healthy]))),
        "run": {"arms": ["FS-STKi"]},
        "report": {"best_arms": ["FS-STKi"], "interpreted": None},
    }
    for overrides in (base, change or {}):
        merge(config, overrides)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(change or {}))
    return load_study(config, [ROOT / "config.yaml", tmp_path / "mine.yaml"], check_paths=False)


def merge(config: dict, overrides: dict) -> None:
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value


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
    study = study_of(tmp_path, rows=[ROW, ROW | {"case": "C2", "exclude": "motion"}])
    assert [case.case for case in study.cases] == ["C1"]
    assert [case.exclude for case in study.excluded] == ["motion"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cohort": "ico AIS"}, ["row 2", "column cohort", "'ico AIS'", "letters, digits and -"]),
        ({"lesion_space": "ct"}, ["row 2", "column lesion_space", "'ct'", "'ncct', 'mri'"]),
        ({"ncct": ""}, ["column ncct", "DICOM folder"]),
        ({"mri_modality": "dwi"}, ["column mri_modality", "'dwi'", "2 mri"]),
        ({"mri_modality": "dwi;flair"}, ["column mri_modality", "'dwi;flair'"]),
        ({"lesion_space": ""}, ["column lesion_space", "'mri'"]),
        ({"mri": "", "mri_modality": "", "stripped": ""}, ["column lesion_space", "without an mri"]),
        ({"stripped": "ncct;flair"}, ["column stripped"]),
        ({"split": "dev"}, ["column split", "'dev'", "'validation'"]),
        ({"lesion": "lesion.png"}, ["column lesion", "NIfTI"]),
    ],
)
def test_a_wrong_cell_names_row_column_value_and_what_is_allowed(tmp_path, change, words):
    sheet = write_sheet(tmp_path / "cases.tsv", ROW | change)
    with pytest.raises(StudyError) as error:
        load_cases(sheet, root=None)
    for word in [str(sheet), *words]:
        assert word in str(error.value)


def test_a_repeated_case_names_both_rows(tmp_path):
    sheet = write_sheet(tmp_path / "cases.tsv", ROW, ROW)
    with pytest.raises(StudyError, match=r"row 3, column case: 'C1' is already in row 2"):
        load_cases(sheet, root=None)


def test_a_missing_path_names_row_and_column(tmp_path):
    sheet = write_sheet(tmp_path / "cases.tsv", ROW)
    with pytest.raises(StudyError, match=r"row 2, column ncct: .* does not exist"):
        load_cases(sheet, root=None, check_paths=True)


def test_unknown_and_missing_columns_are_named(tmp_path):
    sheet = tmp_path / "cases.tsv"
    sheet.write_text("cohort\tcase\tage\n")
    with pytest.raises(StudyError, match=r"unknown columns \['age'\], missing columns \['patient'"):
        load_cases(sheet, root=None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"preprocess": {"spacing_mm": -1}}, ["preprocess.spacing_mm", "-1", "above 0"]),
        ({"preprocess": {"spacing_mm": "1 mm"}}, ["preprocess.spacing_mm", "'1 mm'", "above 0"]),
        ({"preprocess": {"skull_stripping": {"ncct": "bet"}}}, ["skull_stripping.ncct", "'bet'", "'deepbet'"]),
        ({"preproces": {}}, ["preproces", "allowed are"]),
        ({"run": {"arms": ["FS"]}}, ["run.arms", "'FS'", "FS-STKi"]),
        ({"run": {"seeds": [0, 1]}}, ["run.seeds", "odd"]),
        ({"run": {"segment": ["ICO"]}}, ["run.segment", "'ICO'", "icoAIS"]),
        ({"run": {"arms": ["ALL-STKi"]}}, ["config.yaml", "image_sets.ALL", "'AISD'", "icoAIS"]),
        ({"arms": {"FS-STKi": {"train": ["AISD"]}}}, ["arms.FS-STKi.train", "'AISD'"]),
        ({"arms": {"FS-STKi": {"pretraining": "ALL-D"}}}, ["arms.FS-STKi.pretraining", "other channels"]),
        (
            {"run": {"segment": ["HEALTHY", "icoAIS"], "evaluate": ["HEALTHY"]}},
            ["run.evaluate", "no case with a lesion"],
        ),
        ({"split": {"ratios": {"train": 0.9}}}, ["split.ratios", "add up to 1"]),
        ({"preprocess": {"clip_hu": [400, -100]}}, ["preprocess.clip_hu", "below"]),
        ({"preprocess": {"template": {"image": "nowhere.nii.gz"}}}, ["template.image", "'nowhere.nii.gz'"]),
        ({"pretrain": {"patch_size": [16, 112]}}, ["pretrain.patch_size", "[16, 112]", "three whole numbers"]),
    ],
)
def test_a_wrong_value_names_file_key_value_and_what_is_allowed(tmp_path, change, words):
    with pytest.raises(StudyError) as error:
        study_of(tmp_path, change)
    for word in words:
        assert word in str(error.value)
    if "config.yaml" not in words:
        assert "mine.yaml" in str(error.value)


def test_the_paper_configuration_is_valid_and_needs_its_nine_pretrainings(tmp_path):
    rows = [ROW | {"cohort": cohort} for cohort in ("AISD", "APIS", "icoAIS", "CENTER-TBI")]
    config = copy.deepcopy(CONFIG) | {"cases": str(write_sheet(tmp_path / "cases.tsv", *rows))}
    study = load_study(config, [ROOT / "config.yaml"], check_paths=False)
    assert sorted(study.pretrainings) == sorted(config["pretrainings"])
    assert study.images("ALL-D") == "ALL-D"
    assert study.images("ALL-SA") == "ALL"


def test_an_empty_sheet_is_a_study_without_cases(tmp_path):
    config = copy.deepcopy(CONFIG) | {"cases": str(write_sheet(tmp_path / "cases.tsv"))}
    assert load_study(config, [], check_paths=True).cases == ()
