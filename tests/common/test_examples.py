"""The examples in docstrings do what they show."""

import doctest
import importlib

import pytest

from tests.workflow import ROOT

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "workflow_scripts").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_do_what_they_show(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed
