"""One set of versions: the conda environments hold the pins of requirements.txt, and every rule names one."""

import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def pins(lines: list[str]) -> dict[str, str]:
    """Return versions by normalised package name; anything but an exact pin is an error."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([A-Za-z0-9_.!]+)", line)
        assert match, f"not an exact pin: {line!r}"
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def required() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return pins([line for line in lines if line and not line.startswith("#")])


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_pins_what_requirements_pin(path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = environment["dependencies"]
    assert all(re.fullmatch(r"[a-z-]+=[0-9.]+", line) for line in conda)
    for name, version in pins(pip["pip"]).items():
        assert required()[name] == version, name


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_pins_what_its_packages_need(path):
    pinned = set(pins(yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]))
    assert needed(pinned) - pinned == set()


def needed(names: set[str]) -> set[str]:
    """Return the packages that the installed packages of these names require here, and theirs, by normalised name."""
    found, waiting = set(), [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                other = re.sub(r"[-_.]+", "-", requirement.name).lower()
                if other not in found:
                    found.add(other)
                    waiting += [(other, wanted) for wanted in ("", *requirement.extras)]
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_rule_that_runs_a_tool_names_its_environment(path):
    rules = re.split(r"^\s*rule\b", path.read_text(), flags=re.MULTILINE)[1:]
    known = {environment.name for environment in ENVIRONMENTS}
    for rule in rules:
        if "shell:" not in rule or "whole_jobs.run" in rule:  # a Snakemake, which gives each step its own
            continue
        if "../envs/{name}.yaml" in rule:  # one rule for each environment, in a loop
            continue
        named = re.search(r'conda:\s*"\.\./envs/([a-z]+\.yaml)"', rule)
        assert named and named[1] in known, rule.splitlines()[0]


def test_no_registry_host_and_no_local_path_is_named():
    for path in [ROOT / "requirements.txt", *ENVIRONMENTS]:
        assert not re.search(r"https?://|index-url|find-links|file:", path.read_text())


@pytest.mark.parametrize("build", ["cpu", "cu126", "cu130"])
def test_setup_installs_another_build_of_the_same_torch(build):
    command = ["make", "-n", "setup", f"TORCH={build}", "TORCH_INDEX=address"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    builds = [f'"{name}=={required()[name]}+{build}"' for name in ("torch", "torchvision")]
    assert f'{" ".join(builds)} --extra-index-url "address"' in shown


@pytest.mark.parametrize("given", [["TORCH=cu126"], ["TORCH=cu99", "TORCH_INDEX=address"]])
def test_setup_refuses_a_build_that_it_does_not_know_or_has_no_index_for(given):
    ended = subprocess.run(["make", "setup", *given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode and "docs/gpu.md" in ended.stdout
