"""A remedy that a new patient's steps may tell fits a new patient, who has no configuration of a study."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.workflow import ROOT
from workflow_scripts.study.code_digest import _closure

SCRIPT = re.compile(r"-m workflow_scripts\.([\w.]+)")
STEPS = (
    "ingest_ncct",
    "template",
    "weights",
    "resample_ncct",
    "brain_mask",
    "contralateral",
    "finalise",
    "describe_case",
)
# What a new patient takes other parts of: how trainings are planned, and the pages of a study.
OTHERS = ("plans.py", "fingerprint.py", "panels.py")
SECTIONS = "|".join(
    name for name, value in yaml.safe_load((ROOT / "config.yaml").read_text()).items() if isinstance(value, dict)
)
STUDYS = re.compile(rf"\b(?:{SECTIONS})\.[a-z]|`(?:{SECTIONS})`|\bconfig\.yaml|\bconfiguration\b")
FOR_BOTH = ("in a study", "a study is to", "new patient")


def modules() -> list[Path]:
    """Return the modules that the steps of a new patient import."""
    rules = {name: (ROOT / "rules" / f"{name}.smk").read_text() for name in ("new_patient", "ingest", "preprocess")}
    scripts = set(SCRIPT.findall(rules.pop("new_patient")))
    scripts |= {one for text in rules.values() for one in SCRIPT.findall(text) if one.split(".")[-1] in STEPS}
    assert len(scripts) == 5 + len(STEPS)
    files = set().union(*(_closure(ROOT / "workflow_scripts" / f"{one.replace('.', '/')}.py") for one in scripts))
    return sorted(file for file in files if file.name not in OTHERS)


def sentences(module: Path) -> list[str]:
    """Return the texts of a module that end as a sentence does, those of its documentation left out."""
    tree = ast.parse(module.read_bytes())
    quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    quiet |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = {
        "".join(part.value if isinstance(part, ast.Constant) else "…" for part in getattr(node, "values", [node]))
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        if id(node) not in quiet
    }
    return sorted(text for text in texts if text.rstrip().endswith("."))


def of_a_study_alone(text: str) -> bool:
    """Whether a text names a key of the configuration, and does not say that only a study has one."""
    return bool(STUDYS.search(text)) and not any(words in text for words in FOR_BOTH)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("raise ingest.max_missing_slices.", True),
        ("raise mem_mb under `resources`.", True),
        ("correct it in the configuration.", True),
        ("in a study, raise ingest.max_missing_slices.", False),
        ("give the whole head.", False),
    ],
)
def test_what_this_test_looks_for(text, wrong):
    assert of_a_study_alone(text) == wrong


def test_no_remedy_asks_a_new_patient_for_a_setting_that_comes_from_the_model():
    found = [(file, text) for file in modules() for text in sentences(file)]
    assert len(found) > 100
    assert not [f"{file.relative_to(ROOT)}: {text}" for file, text in found if of_a_study_alone(text)]
