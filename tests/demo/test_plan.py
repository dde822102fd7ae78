"""The plan of the run that the tests share, made from its own measurements, beside what it took."""

import os
import re
import subprocess
import sys
from datetime import datetime

import pytest

from tests.demo.conftest import Demo, study_arguments
from workflow_scripts.common.files import read_json
from workflow_scripts.study.planning.costs import disk_mb

TARGETS = ("all", "export_FS-STKp")  # those of the run
WITHIN = 0.2
EVENT = re.compile(
    r"^\[(?P<stamp>\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})\]$|^    jobid: (?P<start>\d+)$|^Finished jobid: (?P<end>\d+)",
    re.MULTILINE,
)


def plan_of(demo: Demo, *options: str) -> None:
    call = [*TARGETS, "--forceall", "--snakefile", str(demo.workflow / "Snakefile"), *study_arguments()]
    command = [sys.executable, "-m", "workflow_scripts.study.plan", *options, "--", *call]
    variables = {"PYTHONPATH": str(demo.workflow)}
    subprocess.run(command, cwd=demo.directory, env=os.environ | variables, check=True, capture_output=True)


def seconds_of_jobs(output: str) -> tuple[float, float]:
    """What Snakemake's log says: from the first start to the last end, and the sum over the jobs, each of one core."""
    now, starts, ends = datetime.min, {}, {}
    for event in EVENT.finditer(output):
        if event["stamp"]:
            now = datetime.strptime(event["stamp"], "%a %b %d %H:%M:%S %Y")
        elif event["start"]:
            starts[event["start"]] = now
        else:
            ends[event["end"]] = now
    wall = max(ends.values()) - min(starts.values())
    return wall.total_seconds(), sum((ends[job] - start).total_seconds() for job, start in starts.items())


def test_a_plan_from_measurements_is_within_a_fifth_of_the_run_in_every_total(demo, tmp_path):
    costs, cluster = tmp_path / "costs.tsv", tmp_path / "cluster.yaml"
    cluster.write_text("partitions: {here: {cores: 2, mem_mb: 100000}}\n")
    plan_of(demo, "--write-costs", str(costs))
    plan_of(demo, "--costs", str(costs), "--cluster", str(cluster), "--out", str(tmp_path))
    planned = read_json(tmp_path / "plan.json")
    wall, work = seconds_of_jobs(demo.output)
    written = [folder for folder in demo.results.iterdir() if folder.name not in ("logs", "benchmarks", "state")]
    assert planned["untimed"] == planned["unsized"] == []
    assert planned["steps"] == sum(count for rule, count in demo.jobs.items() if rule != "total")
    assert planned["gpu_hours"] == 0
    assert planned["wall_hours"] * 3600 == pytest.approx(wall, rel=WITHIN)
    assert planned["core_hours"] * 3600 == pytest.approx(work, rel=WITHIN)
    assert planned["peak_disk_gb"] * 1024 == pytest.approx(sum(map(disk_mb, written)), rel=WITHIN)
