"""What a call of Snakemake will take, before anything is submitted: time, cores, GPUs, jobs, disk, what it waits for.

Give the words of the call after two hyphens: ``python -m workflow_scripts.study.plan -- --profile slurm all``. Costs
come from the benchmark files of an earlier run, or of this one. Run by hand: `make plan`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_json, write_text, write_tsv
from workflow_scripts.study.planning import costs as measurements
from workflow_scripts.study.planning.cluster import Cluster
from workflow_scripts.study.planning.costs import Cost, Costs
from workflow_scripts.study.planning.jobs import Job, jobs_of_call
from workflow_scripts.study.planning.picture import Bar, gantt
from workflow_scripts.study.planning.simulate import Times, critical_path, simulate
from workflow_scripts.study.planning.tasks import Tasks, peak_disk_mb, tasks_of
from workflow_scripts.study.schemas import StudyError

SHIPPED = Path(measurements.__file__).with_name("costs.tsv")
COLUMNS = ("stage", "steps", "submitted", "core_hours", "gpu_hours", "disk_gb", "starts_h", "ends_h")


@dataclass(frozen=True)
class Plan:
    """A simulated run: what is submitted, when each runs, and what each job costs, by its number."""

    tasks: Tasks
    times: Sequence[Times]
    costs: Mapping[int, Cost]

    @property
    def totals(self) -> dict[str, float]:
        """Hours of wall time, of cores and of GPUs that are held; steps, submitted jobs; GiB of new files at most."""
        held = list(zip(self.tasks.tasks, self.times, strict=True))
        return {
            "wall_hours": max((when.end for when in self.times), default=0) / 3600,
            "core_hours": sum(task.cores * (when.end - when.start) for task, when in held) / 3600,
            "gpu_hours": sum(task.gpus * (when.end - when.start) for task, when in held) / 3600,
            "steps": sum(map(len, self.tasks.jobs)),
            "submitted": len(held),
            "peak_disk_gb": peak_disk_mb(self.tasks, self.times, self.costs) / 1024,
        }

    @property
    def untimed(self) -> list[str]:
        """Rules for which the time that they ask for stands."""
        return self._rules(lambda cost: not cost.timed)

    @property
    def unsized(self) -> list[str]:
        """Rules whose outputs are not in the disk, since no size of them is known."""
        return self._rules(lambda cost: not cost.sized)

    def _rules(self, concerns: Callable[[Cost], bool]) -> list[str]:
        jobs = (job for those in self.tasks.jobs for job in those)
        return sorted({job.kind for job in jobs if concerns(self.costs[job.number])})


def plan(jobs: Sequence[Job], costs: Costs, cluster: Cluster) -> Plan:
    """Simulate jobs on a cluster; raises `StudyError` where one of them fits nowhere."""
    each = {job.number: costs.of(job) for job in jobs}
    tasks = tasks_of(jobs, each, cluster)
    return Plan(tasks, simulate(tasks.tasks, cluster), each)


def rows_of(found: Plan) -> list[dict[str, object]]:
    """Return one row a stage; what is submitted for several stages counts for the first."""
    rows = {}
    for task, those, when in zip(found.tasks.tasks, found.tasks.jobs, found.times, strict=True):
        row = rows.setdefault(
            those[0].stage, dict.fromkeys(COLUMNS, 0) | {"stage": those[0].stage, "starts_h": when.start / 3600}
        )
        hours = (when.end - when.start) / 3600
        sizes = sum(sum(found.costs[job.number].outputs_mb) for job in those) / 1024
        for key, value in (
            ("steps", len(those)),
            ("submitted", 1),
            ("core_hours", task.cores * hours),
            ("gpu_hours", task.gpus * hours),
            ("disk_gb", sizes),
        ):
            row[key] += value
        row["starts_h"] = min(row["starts_h"], when.start / 3600)
        row["ends_h"] = max(row["ends_h"], when.end / 3600)
    return list(rows.values())


def told(found: Plan) -> str:
    """Return the totals in plain text."""
    totals = found.totals
    lines = [
        f"wall time     {totals['wall_hours']:.2f} h",
        f"core hours    {totals['core_hours']:.2f}",
        f"GPU hours     {totals['gpu_hours']:.2f}",
        f"jobs          {totals['submitted']:.0f}, of {totals['steps']:.0f} steps",
        f"peak disk     {totals['peak_disk_gb']:.2f} GiB of new files",
    ]
    if found.untimed:
        lines.append(f"Not measured, so the time that they ask for stands: {', '.join(found.untimed)}.")
    if found.unsized:
        lines.append(f"Of unknown size, so without disk: {', '.join(found.unsized)}.")
    return "\n".join(lines) + "\n"


def picture_of(found: Plan) -> str:
    """Return the picture of a plan."""
    totals = found.totals
    title = f"{totals['submitted']:.0f} jobs, {totals['wall_hours']:.2f} h, {totals['core_hours']:.1f} core hours, "
    title += f"{totals['gpu_hours']:.1f} GPU hours, {totals['peak_disk_gb']:.2f} GiB"
    stages = [
        Bar(str(row["stage"]), 3600 * row["starts_h"], 3600 * row["starts_h"], 3600 * row["ends_h"])
        for row in rows_of(found)
    ]
    path = [
        Bar(found.tasks.tasks[place].name, *vars(found.times[place]).values())
        for place in critical_path(found.tasks.tasks, found.times)
    ]
    return gantt(title, stages, path)


def _sources(given: Sequence[Path], jobs: Sequence[Job]) -> Costs:
    """Read the given costs, else the benchmark files that this study has already; after them the shipped table."""
    results = next((job.benchmark.rpartition("/benchmarks/")[0] for job in jobs if job.benchmark), "")
    here = Path(results, "benchmarks")
    own = [here] if not given and any(here.rglob("*.tsv")) else []
    return Costs.read([*given, *own, SHIPPED])


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", type=Path, help="YAML, as profiles/slurm/cluster.yaml; left out: this machine")
    parser.add_argument(
        "--costs",
        type=Path,
        nargs="+",
        default=[],
        help="folders `benchmarks` of earlier runs, or tables of costs, the most trusted first; left out: this study's",
    )
    parser.add_argument("--out", type=Path, help="folder for plan.json (totals), plan.tsv (a row a stage) and plan.svg")
    parser.add_argument(
        "--write-costs",
        type=Path,
        help="table of what the jobs of a finished run took; its call ends with --forceall",
    )
    parser.add_argument("call", nargs="*", help="the words after `snakemake`")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate a call, or write down what its jobs took."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parse(words)
    try:
        cluster = Cluster.read(arguments.cluster) if arguments.cluster else Cluster.here()
        jobs = jobs_of_call(arguments.call, cluster.most_cores)
        if arguments.write_costs:
            measurements.write_costs(arguments.write_costs, measurements.measured(jobs))
            return
        found = plan(jobs, _sources(arguments.costs, jobs), cluster)
        sys.stdout.write(told(found))
        if arguments.out:
            write_json(arguments.out / "plan.json", found.totals | {"untimed": found.untimed, "unsized": found.unsized})
            write_tsv(arguments.out / "plan.tsv", rows_of(found), COLUMNS)
            write_text(arguments.out / "plan.svg", picture_of(found))
    except (StudyError, InputError) as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
