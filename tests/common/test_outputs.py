"""docs/outputs.md lists the files that the rules make, and the columns that the code writes: these and no others."""

import re

import pytest

from tests.outputs_page import described, files, matches
from tests.workflow import DEMO, demo_arguments, snakemake
from workflow_scripts.common.nnunet import cases
from workflow_scripts.evaluate import label_efficiency, score, score_labels, summarise
from workflow_scripts.finetune import finetune
from workflow_scripts.phantom import attributes
from workflow_scripts.pretrain import pretrain_interpret, pretrain_probe
from workflow_scripts.report import table
from workflow_scripts.split import split

COLUMNS = {
    "split/splits.tsv": split.COLUMNS,
    "split/balance.tsv": split.BALANCE_COLUMNS,
    "pretrain/datasets/{images}/cases.tsv": cases.COLUMNS,
    "pretrain/{pretraining}/probe.tsv": pretrain_probe.COLUMNS,
    "pretrain/{pretraining}/neighbours.tsv": pretrain_probe.NEIGHBOUR_COLUMNS,
    "pretrain/{pretraining}/interpretation/embedding.tsv": pretrain_interpret.EMBEDDING_COLUMNS,
    "pretrain/{pretraining}/interpretation/neighbours.tsv": pretrain_interpret.NEIGHBOUR_COLUMNS,
    "finetune/{arm}/seed-{seed}/curves.tsv": finetune.CURVES,
    "evaluate/scores.tsv": score.COLUMNS,
    "evaluate/summary.tsv": summarise.SUMMARY_COLUMNS,
    "evaluate/comparisons.tsv": summarise.COMPARISON_COLUMNS,
    "evaluate/agreement.tsv": summarise.AGREEMENT_COLUMNS,
    "evaluate/ranks.tsv": summarise.RANK_COLUMNS,
    "evaluate/variance.tsv": summarise.VARIANCE_COLUMNS,
    "evaluate/subgroups.tsv": summarise.SUBGROUP_COLUMNS,
    "evaluate/test_looks.tsv": summarise.LOOK_COLUMNS,
    "evaluate/{arm}/label_scores.tsv": score_labels.COLUMNS,
    "evaluate/label_curve.tsv": label_efficiency.CURVE_COLUMNS,
    "evaluate/label_savings.tsv": label_efficiency.SAVING_COLUMNS,
    "report/tables/{table}.tsv": table.COLUMNS,
    "truth/attributes.tsv": attributes.COLUMNS,
}
# Their columns depend on the method of the pretraining; tests/demo compares them with what a training wrote.
OF_A_METHOD = {"pretrain/{pretraining}/curves.tsv", "pretrain/{pretraining}/rankme.tsv"}
OF_A_GIVEN_MASK = "ingest/{cohort}/{case}/brain.nii.gz"  # the demo's sheet gives none
EVERYTHING = """
segment: {vote: mean_probability}
preprocess: {skull_stripping: {ncct: synthsr+synthstrip}}
"""


@pytest.mark.parametrize("file", COLUMNS)
def test_a_table_has_the_columns_that_the_page_gives_in_their_order(file):
    assert described()[file] == list(COLUMNS[file])


def test_every_table_of_the_page_is_compared_with_the_code():
    assert {file for file in described() if file.endswith(".tsv")} == set(COLUMNS) | OF_A_METHOD


def test_every_table_and_every_described_file_is_in_the_list_of_files():
    assert set(described()) <= set(files())


def test_the_list_of_files_is_that_of_the_rules(tmp_path):
    (tmp_path / "everything.yaml").write_text(EVERYTHING)
    arguments = demo_arguments()
    arguments.insert(arguments.index(str(DEMO / "study.yaml")) + 1, "everything.yaml")
    planned = snakemake(tmp_path, "-n", *arguments, "--", "all", "export_FS-STKi").stdout
    planned += snakemake(tmp_path, "-n", *demo_arguments("jobs=cases"), "arm_FS-STKi").stdout
    made = {
        path.removeprefix("results/demo/")
        for line in re.findall(r"^ +output: (.*)$", planned, flags=re.MULTILINE)
        for path in line.split(", ")
    }
    listed = [pattern.rstrip("/") for pattern in files()]
    assert [name for name in sorted(made) if not any(matches(pattern, name) for pattern in listed)] == []
    assert [pattern for pattern in listed if not any(matches(pattern, name) for name in made)] == [OF_A_GIVEN_MASK]
