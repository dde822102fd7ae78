"""The words of the vocabulary are those of the schemas, and the rules can use them at no cost."""

import subprocess
import sys

import pytest

from tests.workflow import ROOT
from workflow_scripts.common import vocabulary
from workflow_scripts.study.schemas import load_schema


def test_splits_of_the_schemas_are_those_of_the_vocabulary():
    cases, config = load_schema("cases")["properties"], load_schema("config")["properties"]
    assert set(cases["split"]["enum"]) == {"", *vocabulary.SPLITS}
    assert tuple(config["split"]["properties"]["ratios"]["properties"]) == vocabulary.SPLITS


def test_the_vocabulary_loads_nothing_that_is_installed():
    code = (
        "import sys, workflow_scripts.common.vocabulary\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(names - set(sys.stdlib_module_names) - {'workflow_scripts', '__main__'})"
    )
    result = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("limit", [3.0, 0.5])
def test_labels_state_the_configured_volume_and_tell_criteria_apart(limit):
    labels = [vocabulary.criterion_label(name, limit) for name in vocabulary.CRITERIA]
    assert len(set(labels)) == len(labels)
    assert all(f"> {limit:g} mL" in label for label in labels[1:])


def test_tables_use_words_of_the_vocabulary():
    for table in vocabulary.TABLES.values():
        assert table.split in vocabulary.SPLITS
        assert set(table.criteria) <= set(vocabulary.CRITERIA)
