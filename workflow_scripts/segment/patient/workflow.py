"""The call of Snakemake that makes what is wanted of new patients, alone in its folder, and what it tells."""

import csv
import fcntl
import logging
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_yaml, write_yaml
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.segment.model.steps import steps
from workflow_scripts.segment.patient.results import BATCHES, NETWORKS
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.models import final_images, patient_files
from workflow_scripts.study.study import Study

ROOT = Path(__file__).parents[3]
LOCK, STUDY, RECORD = "lock", "study.yaml", "snakemake.log"
UNNAMED = ("new", "patient")  # cohort and case of a single patient, whose steps are told without them
TEXT = {"encoding": "utf-8", "errors": "replace"}  # what a step says may name a file whose name is not UTF-8
ERROR = re.compile(r" ERROR [\w.]+: (.*)")

log = logging.getLogger(__name__)


def command(work: Path, cores: str, profile: str | None, memory_gb: float | None) -> list[str]:
    """Return the call of Snakemake that makes the files of all new patients, or goes on with them.

    ``memory_gb`` bounds what steps that run at once ask for together; one that asks for more runs alone.
    """
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    words += ["--configfile", str(work / STUDY), "--rerun-incomplete", "--keep-going", "--nolock"]
    words += (
        ["--resources", f"mem_mb={round(1000 * memory_gb)}"] if memory_gb else []
    )  # takes all words up to the next option
    words += ["--profile", _whole_path(profile)] if profile else ["--cores", cores]
    return [*words, "new_patients"]


def _whole_path(profile: str) -> str:
    """Return the path of a profile of this workflow or of the folder of the call, which Snakemake's differs from."""
    places = (Path.cwd() / profile, ROOT / "profiles" / profile)
    return next((str(place) for place in places if place.exists()), profile)


@contextmanager
def alone(work: Path) -> Iterator[int]:
    """Hold the lock of the work folder while entered; unlike Snakemake's own, it does not outlive a killed run.

    Its Snakemake may outlive it, and holds the lock too. So whoever finds it locked is told of both.
    """
    with (work / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"Another run writes into {str(work.parent)!r} ({file.read()}).", "wait for it, or end it (kill)."
            ) from None
        tell_holders(file.fileno(), os.getpid())
        yield file.fileno()


def tell_holders(lock: int, *processes: int) -> None:
    """Write into the lock which processes hold it."""
    os.ftruncate(lock, 0)
    os.write(lock, f"process {' and '.join(map(str, processes))} on {platform.node()}".encode())


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


def run_workflow(words: Sequence[str], record: Path, lock: int) -> list[str]:
    """Run Snakemake, tell which step begins, return the errors that its jobs told; all output goes to ``record``.

    Raises `Interrupted` when this process was asked to end; then the jobs have ended too.
    """
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "pass_fds": [lock], **TEXT}
    errors: dict[str, None] = {}
    started: list[subprocess.Popen] = []
    with (
        record.open("w", encoding="utf-8") as file,
        passing_on(started) as received,
        # A session of its own: Ctrl-C reaches it once, through us.
        subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as process,
    ):
        started.append(process)
        tell_holders(lock, os.getpid(), process.pid)

        def lines() -> Iterator[str]:
            for line in process.stdout:
                file.write(line)
                if found := ERROR.search(line):
                    errors[found[1]] = None
                yield line

        for step in steps(lines()):
            log.info("step %s", step.removesuffix(f" of {'/'.join(UNNAMED)}"))
        process.wait()
    if received:
        raise Interrupted("Interrupted: the same command goes on from there.")
    if process.returncode and not errors:
        said = record.read_text(encoding="utf-8").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "nothing")
        errors[f"The workflow ended with status {process.returncode} and the words {last!r}; more in {record}."] = None
    return list(errors)


def run_patients(study: Study, words: Sequence[str], work: Path, lock: int) -> tuple[list[Case], list[str]]:
    """Run the workflow for the patients of a study; return those that did not come through, and the errors.

    A batch waits for the images of all its patients. So where some have none, the others are run again without them.
    """
    forget_failures(Path(study.results))
    errors: dict[str, None] = {}

    def attempt(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
        """Return those of ``cases`` that did not come through, and those of them whose images were made."""
        given = read_yaml(work / STUDY)
        write_yaml(work / STUDY, given | {"patients": [f"{case.cohort}/{case.case}" for case in cases]})
        told = run_workflow(words, work / RECORD, lock)
        errors.update(dict.fromkeys(told))
        pending = unfinished(words) if told else set()
        if pending is None:
            return list(cases), []

        def waits(path: str) -> bool:
            return not Path(path).exists() or Path(path) in pending

        missing = [case for case in cases if any(map(waits, patient_files(study, case.cohort, case.case)))]
        return missing, [c for c in missing if not any(map(waits, final_images(study, c.cohort, c.case)))]

    missing, blocked = attempt(study.cases)
    broken = [case for case in missing if case not in blocked]
    if broken and blocked:
        log.info("once more without the %d that cannot be used", len(broken))
        missing = broken + attempt([case for case in study.cases if case not in broken])[0]
    return missing, list(errors)


def forget_failures(results: Path) -> None:
    """Let the networks run again on patients that they failed on."""
    for file in results.glob(f"{BATCHES}/{NETWORKS}"):
        if read_json(file)["failed"]:
            file.unlink()


def unfinished(words: Sequence[str]) -> set[Path] | None:
    """Return the files that Snakemake would still make, or None where it cannot say.

    One that exists all the same was made before an error, of another scan or with another model.
    """
    told = subprocess.run([*words, "--summary"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, **TEXT)
    if told.returncode:
        return None
    rows = csv.DictReader(told.stdout.splitlines(), delimiter="\t")
    return {Path(row["output_file"]) for row in rows if row["plan"] != "no update"}
