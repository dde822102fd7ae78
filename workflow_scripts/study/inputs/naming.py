"""How the inputs of all stages are named: paths of the study, one or many, and paths of the user."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.study import paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.study import Study

Named = dict[str, Any]

CLOCKS_DIFFER_S = 60.0  # between machines
RECORD = "files.json"  # in the folder of a case whose steps are one job


def file_of(study: Study, folder: str, name: str = "", **wildcards: object) -> str:
    """Return the path of a file of the study, or of a folder of it (`paths.file`)."""
    return paths.file(study.results, folder, name, **wildcards)


def tracked(path: str) -> list[str]:
    """Return a user's path for Snakemake to watch.

    Not where it has braces, which would be taken for wildcards; and not where its time lies ahead: Snakemake refuses
    an output that is older than an input. The command line gets the path as a param (`given` in rules/ingest.smk), and
    a digest of the files beside it.
    """
    return [] if "{" in path or "}" in path or _lies_ahead(path) else [path]


def _lies_ahead(path: str) -> bool:
    try:
        return Path(path).stat().st_mtime > time.time() + CLOCKS_DIFFER_S
    except OSError:
        return False


def files_of_cases(study: Study, folder: str, names: Iterable[str], cases: Iterable[Case]) -> list[str]:
    """Return the files ``names`` of each case, name by name."""
    cases = list(cases)
    return [file_of(study, folder, name, cohort=case.cohort, case=case.case) for name in names for case in cases]


def results_of_cases(study: Study, folder: str, names: Iterable[str], cases: Iterable[Case]) -> list[str]:
    """Return what later stages wait for: files of each case, or its record where its steps are one job."""
    if study.case_jobs:
        return files_of_cases(study, "preprocessed", [RECORD], cases)
    return files_of_cases(study, folder, names, cases)
