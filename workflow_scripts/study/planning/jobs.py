"""The jobs of a call of Snakemake, from its own dry run."""

import io
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from snakemake.cli import main as snakemake
from snakemake.cli import parse_args
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

TEMPORARY = re.compile(r"Would remove temporary output (.*)")


@dataclass(frozen=True)
class Job:
    """A step of the workflow.

    ``name`` is that of its benchmark file, as ``ingest/ingest_ncct/AISD/A01``; jobs of one rule share its first two
    parts, `kind`. ``cases`` is the number of cases that it reads. ``partition`` is what the call asks for, or None;
    ``group`` the number of the group that it is submitted with, or None. ``benchmark`` is empty where a rule has none.
    """

    number: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    benchmark: str = ""
    threads: int = 1
    mem_mb: float = 0
    gpus: int = 0
    minutes: float = 0
    partition: str | None = None
    group: int | None = None
    temporary: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """The stage and the name that all jobs of its rule share."""
        return "/".join(self.name.split("/")[:2])

    @property
    def stage(self) -> str:
        """The first part of its name."""
        return self.name.split("/")[0]

    @property
    def cases(self) -> int:
        """The number of inputs of one name, as ``ncct.nii.gz``, which lie in the folders of the cases."""
        return max(Counter(PurePath(path).name for path in self.inputs).values(), default=1)


def jobs_of_call(call: Sequence[str], cores: int) -> list[Job]:
    """Return the jobs that a call of Snakemake would run now, in Snakemake's order.

    Parameters
    ----------
    call
        the words after ``snakemake``
    cores
        most threads of a job where the call does not say it

    Raises
    ------
    SystemExit
        where Snakemake refuses the call; it has printed why
    """
    with _called([*call, "--dry-run"]), redirect_stderr(io.StringIO()):  # it names the profiles, as the run below does
        _, given = parse_args(sys.argv[1:])
    extra = [] if given.cores or given.jobs else ["--cores", str(cores)]
    heard = _Listener()
    logger.addFilter(heard)
    try:
        # After --dry-run no option takes the next word for its own.
        with _called([*call, "--dry-run", *extra]):
            snakemake()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        logger.removeFilter(heard)
    return heard.jobs()


class _Listener(logging.Filter):
    """Hears what Snakemake logs; lets through warnings and errors alone."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[logging.LogRecord] = []
        self.groups: dict[int, int] = {}
        self.temporary: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.steps.append(record)
        elif event == LogEvent.GROUP_INFO:
            first = min(job.jobid for job in record.jobs)
            self.groups |= dict.fromkeys((job.jobid for job in record.jobs), first)
        elif found := TEMPORARY.fullmatch(record.getMessage()):
            self.temporary.add(found[1])
        return record.levelno >= logging.WARNING

    def jobs(self) -> list[Job]:
        return [_job(step, self.groups.get(step.jobid), self.temporary) for step in self.steps]


def _job(step: logging.LogRecord, group: int | None, temporary: set[str]) -> Job:
    asked: Mapping[str, Any] = dict(step.resources.items())
    nodes = int(_number(asked.get("nodes"))) or 1  # each has the threads, memory and GPUs of the request
    # Of a path .../benchmarks/STAGE/..., as every rule names its own.
    name = (step.benchmark or step.rule_name).rpartition("/benchmarks/")[2].removesuffix(".tsv")
    return Job(
        number=step.jobid,
        name=name,
        inputs=tuple(step.input),
        outputs=tuple(step.output),
        benchmark=step.benchmark or "",
        threads=nodes * step.threads,
        mem_mb=nodes * _number(asked.get("mem_mb")),
        gpus=nodes * _gpus(asked),
        minutes=_number(asked.get("runtime")),
        partition=asked.get("slurm_partition"),
        group=group,
        temporary=temporary.intersection(step.output),
    )


def _gpus(asked: Mapping[str, Any]) -> int:
    """GPUs of a request: of ``gpu``, or of ``gres`` where a cluster wants that (profiles/slurm/config.yaml)."""
    found = re.search(r"gpu(?::\w+)?:(\d+)", str(asked.get("gres", "")))
    return int(_number(asked.get("gpu"))) or (int(found[1]) if found else 0)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


@contextmanager
def _called(words: Sequence[str]) -> Iterator[None]:
    """Let the workflow, which looks at its own call, see this one."""
    before = sys.argv
    sys.argv = ["snakemake", *words]
    try:
        yield
    finally:
        sys.argv = before
