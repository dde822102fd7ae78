"""The rooms of the code: who may import whom, what lies at the root of a stage, what parsing the workflow loads."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow import ROOT

PACKAGE = ROOT / "workflow_scripts"
SHARED = {"common", "study"}
STAGES = sorted(folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file())
ALLOWED = {
    "common": {"common"},
    "study": {"common", "study"},
    "phantom": {"common", "phantom"},
}
NO_SCRIPTS = {"pretrain/settings.py", "pretrain/distributed.py"}  # what all parts of a pretraining use
HEAVY = {"itk", "nibabel", "nnunetv2", "numpy", "pandas", "scipy", "torch"}
# A rule made in a loop has no name here.
RULE_OR_SCRIPT = re.compile(r"^ *rule ?(?P<rule>\w+)?:|python -m workflow_scripts\.(?P<script>[\w.]+)", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from|import) (workflow_scripts\.[\w.]+).*$", re.MULTILINE)


def imported(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if not node.level else []
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE.name:
                yield rest.partition(".")[0]


def rule_files() -> list[Path]:
    return [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]


@pytest.mark.parametrize("room", STAGES)
def test_no_stage_imports_another(room):
    allowed = ALLOWED.get(room, {room, *SHARED})
    found = {path: set(imported(path)) - allowed for path in sorted((PACKAGE / room).rglob("*.py"))}
    assert {path.name: rooms for path, rooms in found.items() if rooms} == {}


@pytest.mark.parametrize("stage", sorted(set(STAGES) - SHARED))
def test_what_lies_at_the_root_of_a_stage_can_be_run(stage):
    modules = [path for path in (PACKAGE / stage).glob("*.py") if path.name != "__init__.py"]
    idle = {path.relative_to(PACKAGE).as_posix() for path in modules if "__main__" not in path.read_text("utf-8")}
    assert idle <= NO_SCRIPTS


def test_a_rule_runs_the_script_at_the_root_of_a_stage_that_has_its_name():
    runs = []
    for path in rule_files():
        rule = None
        for found in RULE_OR_SCRIPT.finditer(path.read_text("utf-8")):
            if found["script"]:
                runs.append((rule, found["script"]))
            else:
                rule = found["rule"]
    assert len(runs) > 30
    for rule, script in runs:
        if script == "study.whole_jobs.run":  # a Snakemake that runs the rules of the steps
            continue
        stage, *module = script.split(".")
        assert len(module) == 1 and (PACKAGE / stage / f"{module[0]}.py").is_file(), script
        settings = script == "common.write_settings" and rule.endswith("_settings")
        assert settings or rule in (module[0], None, "phantom_attributes"), f"rule {rule} runs {script}"


def test_what_the_rules_import_loads_no_array_library():
    """Every job of a cluster parses the workflow again."""
    planning = {PACKAGE / "study" / "plan.py", *(PACKAGE / "study" / "planning").glob("*.py")}  # run Snakemake; by hand
    files = set((PACKAGE / "study").rglob("*.py")) - planning
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    modules |= {name for path in rule_files() for name in IMPORT.findall(path.read_text("utf-8"))}
    assert "workflow_scripts.common.training_store" in modules
    program = f"import importlib, sys\nfor name in {sorted(modules)}: importlib.import_module(name)\n"
    program += f"print(*({HEAVY} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
