"""What a job costs, from measurements: those of the same job, else of the other jobs of its rule.

A table of costs has a row a job, or a row a rule with the mean of its jobs, and these columns:

name
    of the job, or its first two parts for all jobs of a rule
cases
    that a job reads; empty: not known
seconds, cpu_seconds, memory_mb
    of the benchmark; memory is the largest resident set
outputs_mb
    disk that each output takes, MiB, in the order of the rule, separated by spaces; empty: not known

costs.tsv beside this file stands behind all others: the steps of a case at 1 mm (times of docs/speed.md, sizes of that
case; of a whole case their sum and a start of Snakemake of 6 s), the paper's pretraining on an H100 (docs/gpu.md), and
from the demo, in processor seconds, what hardly depends on a voxel's size (pages, figures, split, settings, votes).
It has no finetuning, segmentation, datasets or scores.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Self

from workflow_scripts.common.benchmarks import number, read_benchmarks
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.study.planning.jobs import Job

COLUMNS = ("name", "cases", "seconds", "cpu_seconds", "memory_mb", "outputs_mb")
START_SECONDS = 2.0  # of a Python with its libraries: what does not grow with the cases that a job reads
MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """A row of a table of costs."""

    name: str
    cases: int | None
    seconds: float
    cpu_seconds: float | None = None
    memory_mb: float | None = None
    outputs_mb: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """What the jobs of a rule share."""
        return "/".join(self.name.split("/")[:2])


@dataclass(frozen=True)
class Cost:
    """What a job takes; its own request where its time was never ``timed``, nothing where no output was ``sized``."""

    seconds: float
    outputs_mb: tuple[float, ...]
    timed: bool
    sized: bool


class Costs:
    """Measurements of several runs, earlier ones before later ones."""

    def __init__(self, runs: Iterable[Sequence[Measured]]) -> None:
        self._runs = [_Run(rows) for rows in runs]

    @classmethod
    def read(cls, sources: Iterable[Path]) -> Self:
        """Read tables of costs and folders of benchmark files; raises `InputError` for anything else."""
        return cls([_read(source) for source in sources])

    def of(self, job: Job) -> Cost:
        """Return what a job takes."""
        seconds = next(filter(None, (run.seconds(job) for run in self._runs)), None)
        outputs = next(filter(None, (run.outputs(job) for run in self._runs)), None)
        runs = bool(job.benchmark)  # a rule without a benchmark file gathers others and runs nothing
        asked = 60 * job.minutes if runs else 0.0
        return Cost(
            seconds=asked if seconds is None else seconds,
            outputs_mb=outputs or (0.0,) * len(job.outputs),
            timed=seconds is not None or not runs,
            sized=outputs is not None or not runs,
        )


class _Run:
    def __init__(self, rows: Sequence[Measured]) -> None:
        self._exact = {row.name: row for row in rows}
        self._kinds: dict[str, list[Measured]] = defaultdict(list)
        for row in rows:
            self._kinds[row.kind].append(row)

    def seconds(self, job: Job) -> float | None:
        if exact := self._exact.get(job.name):
            return exact.seconds
        rows = self._kinds.get(job.kind, [])
        return fmean(_scaled(row, job) for row in rows) if rows else None

    def outputs(self, job: Job) -> tuple[float, ...] | None:
        rows = [self._exact[job.name]] if job.name in self._exact else self._kinds.get(job.kind, [])
        sizes = [row.outputs_mb for row in rows if row.outputs_mb]
        if not sizes:
            return None
        alike = [those for those in sizes if len(those) == len(job.outputs)]
        if not alike:  # the rule had other outputs then: their sum, in equal parts
            return (fmean(map(sum, sizes)) / len(job.outputs),) * len(job.outputs)
        return tuple(map(fmean, zip(*alike, strict=True)))


def _scaled(row: Measured, job: Job) -> float:
    """Seconds of another job of the rule: what is over the start grows with the cases that it reads."""
    start = min(START_SECONDS, row.seconds)
    return start + (row.seconds - start) * (job.cases / row.cases if row.cases else 1)


def measured(jobs: Iterable[Job]) -> list[Measured]:
    """Return what jobs took whose benchmark files are there, and what their outputs take now."""
    return [
        _of_benchmark(
            job.name,
            read_tsv(job.benchmark)[-1],
            job.cases,
            tuple(disk_mb(Path(path)) for path in job.outputs),
        )
        for job in jobs
        if job.benchmark and Path(job.benchmark).is_file()
    ]


def write_costs(path: Path, rows: Iterable[Measured]) -> None:
    """Write a table of costs."""
    cells = (vars(row) | {"outputs_mb": " ".join(f"{size:.3g}" for size in row.outputs_mb)} for row in rows)
    write_tsv(path, cells, COLUMNS)


def disk_mb(path: Path) -> float:
    """Return the disk that a file or all files of a folder take, MiB."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file()) / MIB


def _read(source: Path) -> list[Measured]:
    try:
        if source.is_dir():
            return [_of_benchmark(name, rows[-1]) for name, rows in read_benchmarks(source)]
        first, *others = read_tsv(source)
        return [_of_table(row) for row in (first, *others)]
    except (OSError, KeyError, IndexError, ValueError, AttributeError, TypeError):
        raise InputError(
            f"{source} is neither a table of costs nor a folder of benchmark files.",
            "name a table that --write-costs wrote, or the folder `benchmarks` of a study's results.",
        ) from None


def _of_benchmark(
    name: str, row: Mapping[str, str], cases: int | None = None, outputs: tuple[float, ...] = ()
) -> Measured:
    return Measured(name, cases, float(row["s"]), number(row["cpu_time"]), number(row["max_rss"]), outputs)


def _of_table(row: Mapping[str, str]) -> Measured:
    return Measured(
        row["name"],
        int(row["cases"]) if row["cases"] else None,
        float(row["seconds"]),
        number(row["cpu_seconds"]),
        number(row["memory_mb"]),
        tuple(map(float, row["outputs_mb"].split())),
    )
