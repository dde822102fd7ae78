"""Every environment can be made, and every rule runs inside its own."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conda.conftest import ENVIRONMENTS, rules_by_family, size_mb

FAMILIES = [path.stem for path in ENVIRONMENTS]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_environment_is_made_and_holds_its_packages(made, family, record_property):
    environment = made.of(family)
    checked = subprocess.run([environment / "bin/python", "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    record_property("size_mb", size_mb(environment))


def test_there_is_one_environment_for_each_file(made, record_property):
    assert len(list(made.prefix.glob("*.yaml"))) == len(ENVIRONMENTS)
    record_property("seconds", round(made.seconds))


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_run_with_the_interpreter_of_their_environment(made, study, family):
    modules = rules_by_family()[family]
    python = made.of(family) / "bin" / "python"
    place = study / "results" / "logs"  # stage/rule/…, or stage/rule.log
    logs = [path for path in place.rglob("*.log") if Path(path.relative_to(place).parts[1]).stem in modules]
    assert logs, f"no rule of {family} has a log"
    for log in logs:
        assert re.search(rf"running on {python}\d*(\.\d+)?$", log.read_text(), flags=re.MULTILINE), log


def test_the_study_ends_with_its_report(study):
    assert (study / "results" / "report" / "index.html").is_file()
