"""What a run was given: of another scan or model at the same path there is nothing to go on with."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from workflow_scripts.common.digests import bytes_digest, file_digest
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.segment.model.folder import MANIFEST
from workflow_scripts.study import paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.study import Study

GIVEN = "given.json"
STAGES = ("ingested", "preprocessed", "patient")


def forget_others(study: Study, work: Path) -> None:
    """Remove what earlier runs in ``work`` made of other scans than ``study`` names now, or with another model.

    Snakemake sees a changed file by a later time, and what was moved or unpacked to its place keeps an earlier one.
    """
    model = file_digest(Path(study.config["model"], MANIFEST))
    scans = {f"{case.cohort}/{case.case}": fingerprint(_images(case)) for case in study.cases}
    before = read_json(work / GIVEN) if (work / GIVEN).exists() else {}
    if before.get("model") != model:
        shutil.rmtree(study.results, ignore_errors=True)
    for case in study.cases:
        name = f"{case.cohort}/{case.case}"
        if before.get("scans", {}).get(name) != scans[name]:
            for stage in STAGES:
                folder = paths.file(study.results, stage, cohort=case.cohort, case=case.case)
                shutil.rmtree(folder, ignore_errors=True)
    write_json(work / GIVEN, {"model": model, "scans": scans})


def fingerprint(images: Iterable[Path]) -> str:
    """Return what changes with any file of these files and folders: a digest of names, sizes, times and inodes."""
    found = []
    for image in images:
        for path in sorted([image, *image.rglob("*")]):
            status = path.stat() if path.exists() else path.lstat()
            found.append((str(path), status.st_size, status.st_mtime_ns, status.st_ino))
    return bytes_digest(repr(found).encode())


def _images(case: Case) -> list[Path]:
    return [Path(path) for path in (case.ncct, case.brain_mask) if path]
