"""Where results lie: the rules' pathvars, the paths of input functions and the layout that scripts expect are one."""

from pathlib import Path

import pytest

from workflow_scripts.study import paths


def test_a_path_of_an_input_function_is_the_rules_pathvar_with_its_wildcards_filled_in():
    filled = paths.pathvars("out")["preprocessed"].format(cohort="A", case="A1")
    assert paths.file("out", "preprocessed", "ncct.nii.gz", cohort="A", case="A1") == f"{filled}/ncct.nii.gz"


def test_scripts_find_a_case_below_the_folder_of_its_stage():
    stage = Path(paths.stage_folder("out", "preprocessed"))
    assert str(paths.case_folder(stage, "A", "A1")) == paths.file("out", "preprocessed", cohort="A", case="A1")


@pytest.mark.parametrize(("folder", "expected"), [("split", "out/split"), ("training", "out/finetune")])
def test_the_folder_of_a_stage_ends_before_the_first_wildcard(folder, expected):
    assert paths.stage_folder("out", folder) == expected


def test_braces_in_the_name_of_the_results_are_no_wildcards():
    assert paths.file("out{1}", "split", "splits.tsv") == "out{1}/split/splits.tsv"
