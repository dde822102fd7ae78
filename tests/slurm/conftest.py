"""One cluster and one study for all tests of this folder; what runs on it, runs once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, obstacle, running_cluster
from tests.slurm.study import exclude_broken, write_profile, write_study
from tests.workflow import ROOT, snakemake

PROFILE = {
    "account": "root",
    "partition": "cpu",
    "gpu_partition": "gpu",
    "status_seconds": 1,
    "retries": 8,
    "cores_per_job": 2,
}
GROUPS = ("report", "page")
FIELDS = (
    "JobID",
    "Comment",
    "State",
    "ExitCode",
    "Partition",
    "AllocTRES",
    "ReqMem",
    "Timelimit",
    "Submit",
    "Start",
    "End",
)


@dataclass
class Runs:
    """A study on the cluster: its folder, and for each run what Snakemake printed and what accounting says of it."""

    folder: Path
    cluster: Cluster
    profile: Path
    outputs: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    queue_after_kill: list[str] | None = None

    def arguments(self, *more: str) -> list[str]:
        return [*more, "--profile", str(self.profile), "--configfile", "study.yaml"]

    def run(self, name: str, *arguments: str) -> int:
        """Run Snakemake to its end."""
        with self.recorded(name):
            result = snakemake(self.folder, *self.arguments(*arguments), check=False)
            self.outputs[name] = result.stdout
        return result.returncode

    def interrupt(self, name: str, target: str, log: Path, text: str, number: signal.Signals) -> None:
        """Start Snakemake, send its main process a signal once ``text`` stands in ``log``, and wait for its end."""
        with self.recorded(name), (self.folder / f"{name}.out").open("w+") as output:
            command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), *self.arguments(target)]
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                env=os.environ | {"PATH": path},
                # Tests that a shell runs in the background ignore Ctrl-C, and would have Snakemake ignore it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            deadline = time.monotonic() + 300
            while not (log.is_file() and text in log.read_text()):
                assert process.poll() is None and time.monotonic() < deadline, (self.folder / f"{name}.out").read_text()
                time.sleep(0.5)
            process.send_signal(number)
            process.wait(timeout=120)
            output.seek(0)
            self.outputs[name] = output.read()

    def recorded(self, name: str):
        return _Recorded(self, name)


class _Recorded:
    """Notes which jobs the accounting knows after a run and did not know before it."""

    def __init__(self, runs: Runs, name: str) -> None:
        self.runs, self.name = runs, name

    def __enter__(self) -> None:
        self.before = {job["JobID"] for job in self.runs.cluster.sacct("JobID")}

    def __exit__(self, *_: object) -> None:
        self.runs.jobs[self.name] = [job for job in self.runs.cluster.sacct(*FIELDS) if job["JobID"] not in self.before]


def rule_of(job: dict[str, str]) -> str:
    """Return the rule or group that a Slurm job ran, as the executor's comment names it."""
    name = job["Comment"].removeprefix("rule_").split("_wildcards_")[0]
    return next((group for group in GROUPS if name.startswith(f"{group}_")), name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if reason := obstacle():
        pytest.skip(reason)
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def runs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Preprocessing with a broken case; a pretraining whose Snakemake is killed; then the whole study."""
    folder = tmp_path_factory.mktemp("slurm-study")
    write_study(folder)
    profile = write_profile(folder / "profile", **PROFILE, training_minutes=2, warning_seconds=15)
    runs = Runs(folder, cluster, profile)
    assert runs.run("broken case", "all_preprocess", "--retries", "1") != 0
    exclude_broken(folder)
    log = folder / "results" / "logs" / "pretrain" / "pretrain" / "ALL.log"
    runs.interrupt("killed", "all_pretrain", log, "epoch 1 of", signal.SIGINT)
    runs.queue_after_kill = cluster.queue_in_the_end(60)
    assert runs.run("whole study") == 0, runs.outputs["whole study"][-6000:]
    return runs
