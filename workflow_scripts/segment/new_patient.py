"""Segment a new patient with an exported model: a CT in, masks and a page out, without a study.

Runs the rules of the workflow on a case sheet and settings written from the model, in OUT/.work. After an interruption
the same command goes on. What comes out appears whole or not at all.
"""

import argparse
import csv
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import (
    read_json,
    read_tsv,
    replacing_entries,
    write_tsv,
    write_yaml,
)
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.steps import steps
from workflow_scripts.study import paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.config_files import complete
from workflow_scripts.study.models import is_dicom
from workflow_scripts.study.schemas import StudyError, load_schema
from workflow_scripts.study.study import load_study

ROOT = Path(__file__).parents[2]
WORK, LOCK = ".work", "lock"
NVIDIA = Path("/proc/driver/nvidia")  # where there is a GPU that its driver knows
COHORT, CASE = "new", "patient"
BATCH = 20  # patients that one load of the model segments
PAGE = "report.html"
SCAN = "ncct_upright.nii.gz"
IMAGES = ("lesion.nii.gz", "lesion_upright.nii.gz", "agreement.nii.gz", "probability.nii.gz")
REPORT = "report.json"
TIMES = "times.tsv"
FILES = (*IMAGES, "lesion.json", REPORT, PAGE)
DICOM_FILES = (MASK, CAPTURE) = ("lesion.dcm", "report.dcm")
NO_STUDY = "--with-report puts the page on the study of the DICOM images, and a NIfTI file names no study."
ERROR = re.compile(r" ERROR [\w.]+: (.*)")

log = logging.getLogger(__name__)


def open_model(model: Path, work: Path) -> Path:
    """Return the folder of a model, unpacked into ``work`` where it is a zip, with every file of it checked."""
    if not model.exists():
        raise InputError(
            f"The model {str(model)!r} does not exist.", "name the folder or the zip of an exported model."
        )
    folder = model.absolute()
    if not model.is_dir():
        # Not anew when it is there: its files would be newer than what was made with them.
        folder = work / f"model-{file_digest(model)[:16]}"
        if not folder.is_dir():
            layout.unpack(model, folder)
    layout.check_model(folder)
    return folder


def study_of(
    model: Path, sheet: Path, results: Path, weights: dict[str, Path | None], device: str, with_report: bool
) -> dict[str, Any]:
    """Return the configuration of a study without trainings, whose images are made as the model's were."""
    settings = read_json(model / layout.PREPROCESSING)
    preprocess = settings["preprocess"]
    if (model / layout.TEMPLATE).is_file():
        preprocess["template"] |= {
            "image": str(model / layout.TEMPLATE),
            "mask": str(model / layout.TEMPLATE_MASK),
        }
    for network, path in weights.items():
        if path:
            preprocess["skull_stripping"][f"{network}_weights"]["path"] = str(path.absolute())
    return {
        "title": "New patients",
        "notice": read_json(model / layout.MANIFEST)["notice"],
        "cases": str(sheet),
        "cases_root": None,
        "outdir": str(results),
        "device": device,
        "model": str(model),
        "dicom_report": with_report,
        "run": {"arms": [], "segment": [], "evaluate": []},
        "evaluate": {"test_arms": [], "comparisons": {}},
        "report": {"best_arms": [], "interpreted": None},
        **settings,
        "segment": settings["segment"] | {"batch_size": BATCH},
    }


def write_sheet(path: Path, scan: Path, series: int | None) -> None:
    """Write a case sheet of one new patient."""
    columns = list(load_schema("cases")["properties"])
    row = dict.fromkeys(columns, "") | {"cohort": COHORT, "patient": CASE, "case": CASE, "ncct": str(scan.absolute())}
    write_tsv(path, [row | {"ncct_series": "" if series is None else str(series)}], columns)


def command(work: Path, cores: str, profile: str | None) -> list[str]:
    """Return the call of Snakemake that makes the files of all new patients, or goes on with them."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(work)]
    words += ["--configfile", str(work / "study.yaml"), "--rerun-incomplete", "--keep-going", "--nolock"]
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


def run_workflow(words: Sequence[str], record: Path, lock: int) -> list[str]:
    """Run Snakemake, tell which step begins, return the errors that its jobs told; all output goes to ``record``.

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
            log.info("step %s", step.removesuffix(f" of {COHORT}/{CASE}"))
        process.wait()
    if received:
        raise Interrupted("Interrupted: the same command goes on from there.")
    if process.returncode and not errors:
        errors[f"the workflow ended with status {process.returncode}; {record} says why"] = None
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


def publish(results: Path, cohort: str, case: str, out: Path, dicom: Sequence[str]) -> None:
    """Move what was made of a patient into ``out``, where nothing of an earlier scan stays.

    ``dicom``: which of `DICOM_FILES` belong to this run.
    """
    made = Path(paths.file(str(results), "patient", cohort=cohort, case=case))
    scan = Path(paths.file(str(results), "ingested", "ncct.nii.gz", cohort=cohort, case=case))
    with replacing_entries(out) as folder:
        for name in (*FILES, *dicom):
            shutil.copyfile(made / name, folder / name)
        shutil.copyfile(scan, folder / SCAN)
        write_times(results, cohort, case, folder / TIMES)
        for name in set(DICOM_FILES) - set(dicom):
            (out / name).unlink(missing_ok=True)


def dicom_files(case: Case, with_report: bool) -> list[str]:
    """Return which of `DICOM_FILES` a case gets."""
    wanted = [MASK, *([CAPTURE] if with_report else [])]
    return wanted if is_dicom(Path(case.ncct)) else []


def write_times(results: Path, cohort: str, case: str, path: Path) -> None:
    """Write where the time went: step, seconds, largest memory in MB, from what Snakemake measured."""
    rows = []
    for file in Path(paths.file(str(results), "benchmarks")).glob(f"*/*/{cohort}/{case}.tsv"):
        measured = read_tsv(file)[-1]
        rows.append({"step": file.parts[-3], "seconds": measured["s"], "memory_mb": measured["max_rss"]})
    rows.sort(key=lambda row: -float(row["seconds"]))
    write_tsv(path, rows, ("step", "seconds", "memory_mb"))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--dicom", type=Path, help="folder of the DICOM images of one patient")
    given.add_argument("--nifti", type=Path, help="NIfTI file in HU")
    given.add_argument("--cases", type=Path, help="case sheet of many patients; OUT gets a folder for each")
    parser.add_argument("--model", type=Path, required=True, help="folder or zip of an exported model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--series", type=int, help="SeriesNumber of the wanted series, where several would do")
    parser.add_argument("--with-report", action="store_true", help="the page as a DICOM picture too: report.dcm")
    parser.add_argument("--synthstrip-weights", type=Path, help="where the model's skull stripping needs them")
    parser.add_argument("--synthsr-weights", type=Path, help="where the model's skull stripping needs them")
    parser.add_argument("--cores", default="all", help="of this machine (default: all)")
    parser.add_argument("--profile", help="profile of Snakemake, as slurm, instead of --cores")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU, though there is a GPU")
    parser.add_argument("--keep-work", action="store_true", help="keep OUT/.work, the images of every step")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Check what was given, then segment while no other run writes into the same folder."""
    arguments = _parse(argv)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"{str(arguments.out)!r} is a file.", "name a folder for the results.")
    for scan in filter(None, (arguments.dicom, arguments.model)):
        keep_apart(arguments.out, scan)
    for place in (arguments.out, arguments.model):
        if place.suffix != ".zip" and re.search("[{}]", str(place.absolute())):
            raise InputError(
                f"{str(place)!r} has a brace in it, a wildcard to Snakemake.", "name a path without { and }."
            )
    work = arguments.out.absolute() / WORK
    new = not arguments.out.exists()
    work.mkdir(parents=True, exist_ok=True)
    try:
        with alone(work) as lock:
            try:
                segment(arguments, work, lock)
            finally:
                if work.is_dir() and {path.name for path in work.glob("*")} <= {
                    LOCK,
                    "cases.tsv",
                }:  # refused before anything was made
                    shutil.rmtree(work)
    finally:
        if new and not any(arguments.out.iterdir()):
            arguments.out.rmdir()


def keep_apart(out: Path, scan: Path) -> None:
    """Refuse results inside the folder of a scan or a model: the next reader would find them there."""
    if scan.is_dir() and out.resolve().is_relative_to(scan.resolve()):
        raise InputError(f"The results would lie in {str(scan)!r} itself.", "name a folder outside it.")


def segment(arguments: argparse.Namespace, work: Path, lock: int) -> None:
    """Write the study of the new patients, run the workflow on it, publish what came out."""
    model = open_model(arguments.model, work)
    sheet, results = work / "cases.tsv", work / "results"
    if arguments.cases:
        sheet = arguments.cases.absolute()
    else:
        scan = arguments.dicom or arguments.nifti
        if not scan.exists():
            raise InputError(f"The scan {str(scan)!r} does not exist.", "name a DICOM folder or a NIfTI file.")
        if arguments.with_report and not is_dicom(scan):
            raise InputError(NO_STUDY, "give the DICOM folder (--dicom), or leave --with-report out.")
        write_sheet(sheet, scan, arguments.series)
    weights = {"synthstrip": arguments.synthstrip_weights, "synthsr": arguments.synthsr_weights}
    device = "auto" if not arguments.cpu and (arguments.profile or NVIDIA.exists()) else "cpu"
    study = study_of(model, sheet, results, weights, device, arguments.with_report)
    try:
        cases = load_study(complete(study), [], check_paths=True, given={"the model's settings": study}).cases
    except StudyError as error:
        raise InputError(str(error), "correct the case sheet, or export the model with this version.") from error
    for case in cases:
        keep_apart(arguments.out, Path(case.ncct))
    write_yaml(work / "study.yaml", study)

    words = command(work, arguments.cores, arguments.profile)
    errors = run_workflow(words, work / "snakemake.log", lock)
    pending = unfinished(words) if errors else set()
    single = arguments.cases is None
    outs = {case: arguments.out if single else arguments.out / case.cohort / case.case for case in cases}
    missing = []
    for case, out in outs.items():
        made = Path(paths.file(str(results), "patient", cohort=case.cohort, case=case.case))
        if pending is None or any(made in file.parents for file in pending):
            missing.append(case)
            if (out / PAGE).exists():
                log.warning("What lies in %s is of an earlier run.", out)
        else:
            publish(results, case.cohort, case.case, out, dicom_files(case, arguments.with_report))
    if missing or errors:
        names = ", ".join(f"{case.cohort}/{case.case}" for case in missing)
        raise InputError(
            f"Not segmented: {names or 'a part of the files'}. {' '.join(errors)}",
            "mend that; the same command then goes on from there.",
        )
    if not arguments.keep_work:
        shutil.rmtree(work)
    for case, out in outs.items():
        report = read_json(out / REPORT)
        flags = ", ".join(report["flags"]) or "none"
        for file, reason in report["not_made"].items():
            log.warning("%s/%s: no %s: %s.", case.cohort, case.case, file, reason)
        if arguments.with_report and not is_dicom(Path(case.ncct)):
            log.warning("%s/%s: no %s: %s", case.cohort, case.case, CAPTURE, NO_STUDY)
        log.info("%s/%s: %.1f mL, flags: %s. %s", case.cohort, case.case, report["lesion_ml"], flags, out / PAGE)


if __name__ == "__main__":
    run(main)
