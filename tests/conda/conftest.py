"""The environments, made once, and a study that ran on the cluster inside them."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.conda.channel import make_channel
from tests.conda.stand_in import install_stand_in
from tests.slurm.cluster import obstacle, running_cluster
from tests.slurm.study import merged, write_profile, write_study
from tests.workflow import ROOT, snakemake

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
PROFILE = {
    "account": "root",
    "partition": "cpu",
    "gpu_partition": "gpu",
    "status_seconds": 1,
    "retries": 0,
    "cores_per_job": 2,
}
SMALL = {
    "run": {"arms": ["ALL-STKi"], "seeds": [0]},
    "pretrain": {"epochs": 1, "samples_per_epoch": 16, "teacher_temperature": {"warmup_epochs": 0}},
    "evaluate": {"test_arms": ["ALL-STKi"], "comparisons": {"main": []}},
    "report": {"best_arms": ["ALL-STKi"]},
}


@dataclass(frozen=True)
class Made:
    """The environments: the folder that holds them, conda's settings for a shell, and what Snakemake printed."""

    prefix: Path
    variables: dict[str, str]
    output: str
    seconds: float

    def of(self, family: str) -> Path:
        """Return the environment made from ``envs/{family}.yaml``."""
        wanted = (ROOT / "envs" / f"{family}.yaml").read_bytes()
        return next(file.with_suffix("") for file in self.prefix.glob("*.yaml") if file.read_bytes() == wanted)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    pinned = yaml.safe_load(ENVIRONMENTS[0].read_text())["dependencies"][:2]
    running = [f"python={platform.python_version()}", f"pip={version('pip')}"]
    if pinned != running:
        pytest.skip(f"the environments pin {pinned}, and the channel can only be made of what runs here: {running}")
    root = tmp_path_factory.mktemp("conda")
    commands = install_stand_in(root / "base", make_channel(root / "channel"))
    variables = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    (root / "work").mkdir()
    prefix = root / "environments"
    options = ["--sdm", "conda", "--conda-prefix", str(prefix), "--conda-create-envs-only", "--cores", "1"]
    started = time.monotonic()
    demo = ["--configfile", str(ROOT / "profiles/demo/study.yaml"), "--config", f"cases={ROOT}/profiles/demo/cases.tsv"]
    output = snakemake(root / "work", *options, *demo, variables=variables).stdout
    return Made(prefix, variables, output, time.monotonic() - started)


@pytest.fixture(scope="session")
def study(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a small study through Slurm and conda together; yield its folder."""
    if reason := obstacle():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("conda-study")
    write_study(folder, broken=False)
    settings = folder / "study.yaml"
    settings.write_text(yaml.safe_dump(merged(yaml.safe_load(settings.read_text()), SMALL)))
    profile = write_profile(folder / "profile", **PROFILE)
    options = ["--sdm", "conda", "--conda-prefix", str(made.prefix), "--profile", str(profile)]
    with running_cluster():
        snakemake(folder, *options, "--configfile", "study.yaml", variables=made.variables)
    yield folder


def rules_by_family() -> dict[str, set[str]]:
    """Return the rules that name each environment, as the rule files have them."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^\s*rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            if named := re.search(r'conda:\s*"\.\./envs/([a-z]+)\.yaml"', rule):
                found.setdefault(named[1], set()).update(re.findall(r"python -m workflow_scripts\.\w+\.(\w+)", rule))
    return found


def size_mb(folder: Path) -> int:
    """Return the size of a folder in MB."""
    return int(subprocess.run(["du", "-sm", folder], check=True, capture_output=True, text=True).stdout.split()[0])
