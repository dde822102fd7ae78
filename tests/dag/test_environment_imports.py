"""What the script of a rule imports as it starts, itself or through modules of ours, is in the rule's environment."""

import ast
import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.dag.test_environments import ROOT, pins

PACKAGE = ROOT / "workflow_scripts"
SCRIPT = re.compile(r"-m workflow_scripts\.([\w.]+)")
ENVIRONMENT = re.compile(r'conda:\s*"\.\./envs/([a-z]+)\.yaml"')


def scripts() -> set[tuple[str, str]]:
    """Return the script and the environment of each rule that has one."""
    found = set()
    for file in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^\s*rule\b", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            if environment := ENVIRONMENT.search(rule):
                found |= {(script, environment[1]) for script in SCRIPT.findall(rule)}
    return found


@cache
def imported(path: Path) -> set[str]:
    """Return the modules that a file imports at its top, also below ``try`` and ``if``, but not for types alone."""
    names, waiting = set(), list(ast.parse(path.read_bytes()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *node.orelse, *node.finalbody]
    return names


def packages(script: str) -> set[str]:
    """Return the packages that are no part of Python and that a script imports, itself or through ours."""
    found, seen, waiting = set(), set(), [f"workflow_scripts.{script}"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.split(".")[0]
        if top != "workflow_scripts":
            found |= {top} - sys.stdlib_module_names - {"__future__"}
            continue
        place = PACKAGE.joinpath(*name.split(".")[1:])
        parents = [f"{name.rsplit('.', 1)[0]}"] if "." in name else []
        files = [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
        waiting += [*parents, *(one for file in files for one in imported(file))]
    return found


distributions = cache(metadata.packages_distributions)


@pytest.mark.parametrize(("script", "environment"), sorted(scripts()))
def test_an_environment_has_what_its_scripts_import(script, environment):
    given = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    pinned, known = set(pins(given)), distributions()
    missing = {
        package
        for package in packages(script)
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in known.get(package, [package])} & pinned
    }
    assert not missing
