"""The record of a job's files: what later stages wait for, and what shows that the job must run again."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.files import write_json
from workflow_scripts.study.inputs.naming import RECORD

BATCHES = "batches"  # folder of the records of an arm's batches


def write_record(record: str, files: Iterable[str]) -> None:
    """Write name and SHA-256 of each file, so that a run which changed none of them leaves the record as it was."""
    write_json(Path(record), {file: file_digest(Path(file)) for file in files})


def is_record(path: PurePath) -> bool:
    """Whether a path, below the folder of results, is a record of a case or of a batch."""
    return any(path.match(form) for form in (f"preprocess/*/*/{RECORD}", f"segment/*/{BATCHES}/*/*.json"))


def write_missing(record: str, files: Sequence[str]) -> None:
    """Write a record that is not there, where all files are: those of steps that were jobs of the study themselves."""
    if not Path(record).exists() and all(Path(file).exists() for file in files):
        write_record(record, files)


def changed(record: str, files: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """Return the files of a finished job that are gone, or were written after its record by a step that ran alone.

    Parameters
    ----------
    record
        path of the record; nothing has changed where it is not there, and the job runs in any case
    files
        what the record holds
    others
        files that may be there, such as those which later steps remove
    """
    try:
        written = Path(record).stat().st_mtime_ns
    except FileNotFoundError:
        return []
    times = {file: _time(file) for file in (*files, *others)}
    missing = [file for file in files if times[file] is None]
    return missing + sorted(file for file, time in times.items() if time is not None and time > written)


def _time(file: str) -> int | None:
    try:
        return Path(file).stat().st_mtime_ns
    except FileNotFoundError:
        return None
