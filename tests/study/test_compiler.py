"""A call says that no compiler is there before its jobs wait for a GPU."""

import copy
from pathlib import Path

import pytest

from tests.bad_input.study import CONFIG, write_masked
from workflow_scripts.study.compiler import compiler
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import load_study


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with these programs alone."""

    def make(*programs: str) -> None:
        for name in programs:
            (tmp_path / name).write_text("")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CC", raising=False)

    return make


def load(folder: Path, compile_: str, gpu: int = 1, device: str = "auto"):
    config = copy.deepcopy(CONFIG) | {"device": device, "cases": str(write_masked(folder, [1] * 4))}
    config["run"]["arms"], config["evaluate"]["test_arms"] = ["FS-STKi"], []
    config["report"] |= {"best_arms": ["FS-STKi"], "interpreted": []}
    config["finetune"]["compile"], config["resources"]["finetune"]["gpu"] = compile_, gpu
    return load_study(config, [], check_paths=True)


def test_a_call_on_a_machine_without_compiler_is_refused_or_warned(machine, tmp_path):
    machine()
    assert load(tmp_path, "auto").without_compiler == {"finetune": "auto"}
    with pytest.raises(StudyError, match=r"finetune\.compile: 'always' needs a C compiler, and this machine"):
        load(tmp_path, "always")


@pytest.mark.parametrize("how", [("never", 1, "auto"), ("always", 0, "auto"), ("always", 1, "cpu")])
def test_what_compiles_nothing_needs_none(machine, tmp_path, how):
    machine()
    assert load(tmp_path, *how).without_compiler == {}


@pytest.mark.parametrize("program", ["gcc", "clang"])
def test_a_compiler_is_found(machine, tmp_path, program):
    machine(program)
    assert load(tmp_path, "always").without_compiler == {}


def test_cc_goes_before(machine, tmp_path, monkeypatch):
    machine("gcc", "mycc")
    monkeypatch.setenv("CC", "mycc -O2")
    assert compiler() == str(tmp_path / "mycc")
    monkeypatch.setenv("CC", "absent")
    assert compiler() is None
