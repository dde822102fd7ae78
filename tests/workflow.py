"""How tests run the workflow: as a user would, in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "profiles" / "demo"


def copy_workflow(folder: Path) -> Path:
    """Copy everything that a run reads of this workflow into ``folder``, where a test may edit it."""
    for name in ("Snakefile", "config.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("rules", "envs", "profiles", "workflow_scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def snakemake(
    directory: Path,
    *arguments: str,
    check: bool = True,
    workflow: Path = ROOT,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run snakemake on this workflow, or a copy, in a working directory; standard error joins standard output."""
    environment = {**os.environ, **(variables or {})}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "-s", str(workflow / "Snakefile")]
    result = subprocess.run(
        [*command, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=directory,
        check=False,
    )
    if check and result.returncode:
        raise AssertionError(f"snakemake {' '.join(arguments)} failed:\n{result.stdout[-6000:]}")
    return result


def demo_arguments(*config: str) -> list[str]:
    """Arguments that choose the demo's study, wherever the working directory is."""
    return [
        "--configfile",
        str(DEMO / "study.yaml"),
        "--config",
        f"cases={DEMO / 'cases.tsv'}",
        *config,
        "--cores",
        "2",
    ]


def job_counts(output: str) -> dict[str, int]:
    """Read the table of jobs that snakemake prints."""
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", output, flags=re.DOTALL)
    if not table:
        return {}
    return {name: int(count) for name, count in re.findall(r"^(\S+) +(\d+)$", table[1], flags=re.MULTILINE)}
