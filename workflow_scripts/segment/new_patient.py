"""Segment a new patient with an exported model: a CT in, masks and a page out, without a study.

Runs the rules of the workflow on a case sheet and settings written from the model, in OUT/.work. After an interruption
the same command goes on. What comes out appears whole or not at all.
"""

import argparse
import logging
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import RIGHTS, run
from workflow_scripts.common.dicom.source import NIFTI
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, write_tsv, write_yaml
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.contents import PREPROCESSING
from workflow_scripts.segment.model.memory import require_for_model
from workflow_scripts.segment.patient.given import forget_others
from workflow_scripts.segment.patient.results import CAPTURE, PAGE, REPORT, dicom_files, publish
from workflow_scripts.segment.patient.workflow import RECORD, STUDY, UNNAMED, alone, command, run_patients
from workflow_scripts.study.case_sheet import Case, may_read
from workflow_scripts.study.config_files import SHIPPED, complete
from workflow_scripts.study.models import is_dicom
from workflow_scripts.study.schemas import StudyError, load_schema
from workflow_scripts.study.study import Study, load_study

WORK = ".work"
NVIDIA = Path("/proc/driver/nvidia")  # where there is a GPU that its driver knows
COHORT, CASE = UNNAMED
BATCH = 20  # patients that one load of the model segments
NO_STUDY = "--with-report puts the page on the study of the DICOM images, and a NIfTI file names no study."

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
    """Return the configuration of a study without trainings, whose images are made as the model's were.

    It says all that the project's own config.yaml, under which it lies, might say otherwise where a user edited it.
    """
    settings = read_json(model / PREPROCESSING)
    preprocess = settings["preprocess"] | {"keep_heads": True}
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
        "report": {"best_arms": [], "interpreted": []},
        "probe": {"supervised": None},
        **settings,
        "preprocess": preprocess,
        "segment": settings["segment"] | {"batch_size": BATCH},
        **({"resources": {"segment": {"gpu": 0}}} if device == "cpu" else {}),
    }


def write_sheet(path: Path, scan: Path, series: int | None) -> None:
    """Write a case sheet of one new patient."""
    columns = list(load_schema("cases")["properties"])
    row = dict.fromkeys(columns, "") | {"cohort": COHORT, "patient": CASE, "case": CASE, "ncct": str(scan.absolute())}
    write_tsv(path, [row | {"ncct_series": "" if series is None else str(series)}], columns)


def cores(text: str) -> str:
    """Return a number of cores, or all; with none, Snakemake would wait for ever."""
    if text != "all" and not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is neither all nor a number of cores")
    return text


def filled(text: str) -> Path:
    """Return a path of the command line; an empty one, as of a variable of the shell that is not set, is none."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def gigabytes(text: str) -> float:
    """Return a positive number of the command line."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no size of a memory in GB")
    return number


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--dicom", type=filled, help="folder of the DICOM images of one patient")
    given.add_argument("--nifti", type=filled, help="NIfTI file in HU")
    given.add_argument("--cases", type=filled, help="case sheet of many patients; OUT gets a folder for each")
    parser.add_argument("--model", type=filled, required=True, help="folder or zip of an exported model")
    parser.add_argument("--out", type=filled, required=True, help="folder of the results")
    parser.add_argument("--series", type=int, help="SeriesNumber of the wanted series, where several would do")
    parser.add_argument("--with-report", action="store_true", help="the page as a DICOM picture too: report.dcm")
    parser.add_argument("--synthstrip-weights", type=filled, help="where the model's skull stripping needs them")
    parser.add_argument("--synthsr-weights", type=filled, help="where the model's skull stripping needs them")
    parser.add_argument("--cores", type=cores, default="all", help="of this machine (default: all)")
    parser.add_argument("--profile", help="profile of Snakemake, as slurm, instead of --cores")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU, though there is a GPU")
    parser.add_argument("--memory-gb", type=gigabytes, help="bound of all steps that run at once; refused if too low")
    parser.add_argument("--keep-work", action="store_true", help="keep OUT/.work, the images of every step")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Check what was given, then segment while no other run writes into the same folder."""
    arguments = _parse(argv)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"{str(arguments.out)!r} is a file.", "name a folder for the results.")
    if arguments.series is not None and not arguments.dicom:
        raise InputError(
            "--series chooses among the series of a DICOM folder (--dicom).",
            "leave it out; a case sheet has column ncct_series for it.",
        )
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
                if work.is_dir() and not (work / RECORD).exists():  # refused before anything ran
                    shutil.rmtree(work)
    finally:
        if new and not any(arguments.out.iterdir()):
            arguments.out.rmdir()


def keep_apart(out: Path, scan: Path) -> None:
    """Refuse results inside the folder of a scan or a model: the next reader would find them there."""
    if scan.is_dir() and out.resolve().is_relative_to(scan.resolve()):
        raise InputError(f"The results would lie in {str(scan)!r} itself.", "name a folder outside it.")


def require_kind(scan: Path, dicom: bool) -> None:
    """Raise `InputError` where a scan is not there, or no DICOM folder or NIfTI file, as was said."""
    if not scan.exists():
        raise InputError(f"The scan {str(scan)!r} does not exist.", "name a DICOM folder or a NIfTI file.")
    if not may_read(scan):
        raise InputError(f"The scan {str(scan)!r} may not be read by the user who runs this.", RIGHTS)
    if dicom and not scan.is_dir():
        raise InputError(
            f"{str(scan)!r} is a file.", "name the folder of the DICOM images; a NIfTI file wants --nifti."
        )
    if not dicom and (scan.is_dir() or not scan.name.lower().endswith(NIFTI)):
        raise InputError(f"{str(scan)!r} is no NIfTI file (.nii, .nii.gz).", "name one; a DICOM folder wants --dicom.")


def write_study(arguments: argparse.Namespace, work: Path, results: Path) -> Study:
    """Write the study of the new patients into ``work``, and return it."""
    model = open_model(arguments.model, work)
    sheet = work / "cases.tsv"
    if arguments.cases:
        sheet = arguments.cases.absolute()
        if not sheet.is_file():
            raise InputError(f"The case sheet {str(arguments.cases)!r} is not there.", "name it for --cases.")
    else:
        scan = arguments.dicom or arguments.nifti
        require_kind(scan, arguments.dicom is not None)
        if arguments.with_report and not is_dicom(scan):
            raise InputError(NO_STUDY, "give the DICOM folder (--dicom), or leave --with-report out.")
        write_sheet(sheet, scan, arguments.series)
    weights = {"synthstrip": arguments.synthstrip_weights, "synthsr": arguments.synthsr_weights}
    device = "auto" if not arguments.cpu and (arguments.profile or NVIDIA.exists()) else "cpu"
    for network, path in weights.items():
        if path and not path.is_file():
            raise InputError(f"{str(path)!r} is not a file.", f"name the weights of {network} for --{network}-weights.")
    if arguments.memory_gb:
        require_for_model(arguments.memory_gb, model, on_cpu=device == "cpu")
    study = study_of(model, sheet, results, weights, device, arguments.with_report)
    study |= {"memory_gb": arguments.memory_gb} if arguments.memory_gb else {}
    write_yaml(work / STUDY, study)
    try:
        loaded = load_study(complete(study), [SHIPPED], check_paths=True, given={"the model's settings": study})
    except StudyError as error:
        raise InputError(
            str(error), "correct it there; for settings of the model, export it with this version."
        ) from error
    if not loaded.cases:
        raise InputError(f"{sheet} names no patient.", "give a row for each, without a reason under `exclude`.")
    for case in loaded.cases:
        keep_apart(arguments.out, Path(case.ncct))
    return loaded


def segment(arguments: argparse.Namespace, work: Path, lock: int) -> None:
    """Write the study of the new patients, run the workflow on it, publish what came out."""
    study = write_study(arguments, work, work / "results")
    forget_others(study, work)
    words = command(work, arguments.cores, arguments.profile, arguments.memory_gb)
    missing, errors = run_patients(study, words, work, lock)
    single = arguments.cases is None
    outs = {case: arguments.out if single else arguments.out / case.cohort / case.case for case in study.cases}
    made = {case: out for case, out in outs.items() if case not in missing}
    for case, out in made.items():
        publish(Path(study.results), case.cohort, case.case, out, dicom_files(case, arguments.with_report))
    tell(made, arguments.with_report)
    for case in missing:
        if (outs[case] / PAGE).exists():
            log.warning("What lies in %s is of an earlier run.", outs[case])
    if missing or errors:
        names = ", ".join(f"{case.cohort}/{case.case}" for case in missing)
        raise InputError(
            f"Not segmented: {names or 'a part of the files'}. {' '.join(errors)}",
            "mend that; the same command then goes on from there.",
        )
    if not arguments.keep_work:
        shutil.rmtree(work)


def tell(outs: Mapping[Case, Path], with_report: bool) -> None:
    """Say what was found in each patient, and what could not be made."""
    for case, out in outs.items():
        report = read_json(out / REPORT)
        flags = ", ".join(report["flags"]) or "none"
        for file, reason in report["not_made"].items():
            log.warning("%s/%s: no %s: %s.", case.cohort, case.case, file, reason)
        if with_report and not is_dicom(Path(case.ncct)):
            log.warning("%s/%s: no %s: %s", case.cohort, case.case, CAPTURE, NO_STUDY)
        log.info("%s/%s: %.1f mL, flags: %s. %s", case.cohort, case.case, report["lesion_ml"], flags, out / PAGE)


if __name__ == "__main__":
    run(main)
