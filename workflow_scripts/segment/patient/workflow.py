"""The call of Snakemake that makes what is wanted of new patients, alone in its folder, and what it tells."""

import csv
import fcntl
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.segment.model.steps import steps

ROOT = Path(__file__).parents[3]
LOCK = "lock"
ERROR = re.compile(r" ERROR [\w.]+: (.*)")

log = logging.getLogger(__name__)


def command(work: Path, cores: str, profile: str | None, memory_gb: float | None) -> list[str]:
    """Return the call of Snakemake that makes the files of all new patients, or goes on with them.

    ``memory_gb`` bounds what steps that run at once ask for together; one that asks for more runs alone.
    """
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    words += ["--configfile", str(work / "study.yaml"), "--rerun-incomplete", "--keep-going", "--nolock"]
    words += (
        ["--resources", f"mem_mb={round(1000 * memory_gb)}"] if memory_gb else []
    )  # takes all words up to the next option
    words += ["--profile", profile] if profile else ["--cores", cores]
    return [*words, "new_patients"]


@contextmanager
def alone(work: Path) -> Iterator[int]:
    """Hold the lock of the work folder while entered; unlike Snakemake's own, it does not outlive a killed run."""
    with (work / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"Another run writes into {str(work.parent)!r}.", "wait for it, or end it.") from None
        yield file.fileno()


@contextmanager
def passing_on(started: list[subprocess.Popen]) -> Iterator[list[int]]:
    """While entered, note SIGINT and SIGTERM, and interrupt the processes that were ``started``.

    Enter it before they are: what a script runs in the background ignores SIGINT, and so would they.
    """
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        del frame
        received.append(number)
        for process in started:
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_workflow(words: Sequence[str], record: Path, lock: int, unnamed: str) -> list[str]:
    """Run Snakemake, tell which step begins, return the errors that its jobs told; all output goes to ``record``.

    Steps of the patient ``unnamed`` (cohort/case) are told without the name.

    Raises `Interrupted` when this process was asked to end; then the jobs have ended too.
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "pass_fds": [lock]}
    errors: dict[str, None] = {}
    started: list[subprocess.Popen] = []
    with (
        record.open("w", encoding="utf-8") as file,
        passing_on(started) as received,
        # A session of its own: Ctrl-C reaches it once, through us.
        subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process,
    ):
        started.append(process)

        def lines() -> Iterator[str]:
            for line in process.stdout:
                file.write(line)
                if found := ERROR.search(line):
                    errors[found[1]] = None
                yield line

        for step in steps(lines()):
            log.info("step %s", step.removesuffix(f" of {unnamed}"))
        process.wait()
    if received:
        raise Interrupted("Interrupted: the same command goes on from there.")
    if process.returncode and not errors:
        errors[f"The workflow ended with status {process.returncode}; {record} says why"] = None
    return list(errors)


def unfinished(words: Sequence[str]) -> set[Path] | None:
    """Return the files that Snakemake would still make, or None where it cannot say.

    One that exists all the same was made before an error, of another scan or with another model.
    """
    told = subprocess.run([*words, "--summary"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if told.returncode:
        return None
    rows = csv.DictReader(told.stdout.splitlines(), delimiter="\t")
    return {Path(row["output_file"]) for row in rows if row["plan"] != "no update"}
