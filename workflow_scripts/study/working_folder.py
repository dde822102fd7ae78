"""What a user should know of the folder that a call works in: a lock, and outputs that are no longer what was made."""

import base64
import binascii
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

SLACK_S = 2.0  # between a file and its record; some file systems keep times of two seconds
MOST_NAMED = 20


def messages(folder: Path, program: str, arguments: Sequence[str], whole_jobs: str | None = None) -> list[str]:
    """Return what is to be said before a call begins; each message ends with a whole command.

    Parameters
    ----------
    folder
        working directory
    program, arguments
        how Snakemake was called: the name of the program, and what stood behind it
    whole_jobs
        the folder of the results, where a job of the study is a whole case (jobs: cases)
    """
    snakemake = ["snakemake"] if program == "snakemake" else ["python", "-m", "snakemake"]
    told = []
    if any((folder / ".snakemake" / "locks").glob("*")):
        unlock = shlex.join([*snakemake, "--unlock", *arguments])
        told.append(f"A Snakemake works in this folder, or was killed in it. If none works in it, unlock it: {unlock}")
    if "--forcerun" not in arguments and (names := changed_outputs(folder)):
        shown = names[:MOST_NAMED]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        remedies = [_remedy(folder, whole_jobs, name) for name in shown]
        removed = dict.fromkeys(path for paths, _ in remedies for path in paths)
        call = shlex.join([*snakemake, *arguments, "--forcerun", *dict.fromkeys(forced for _, forced in remedies)])
        changed = f"Changed since they were made, and taken as they are: {', '.join(shown)}{more}."
        told.append(f"{changed} To make them again: rm -r {' '.join(removed)} && {call}")
    return told


def _remedy(folder: Path, whole_jobs: str | None, name: str) -> tuple[list[str], str]:
    """Return what to remove (as words of a shell) and what to force, so that a file is made again.

    The job of a whole case makes what it lacks and what is older than its inputs. So all files of the case are removed.
    """
    match name.removeprefix(f"{whole_jobs}/").split("/") if whole_jobs else []:
        case [("ingest" | "preprocess"), cohort, case, _]:
            made = f"{whole_jobs}/preprocess/{cohort}/{case}"
            return [shlex.quote(f"{whole_jobs}/ingest/{cohort}/{case}"), shlex.quote(made)], f"{made}/files.json"
        case ["segment", arm, member, cohort, file] if member != "batches":
            case, place = file.split(".")[0], f"{whole_jobs}/segment/{arm}"
            for record in sorted((folder / place / "batches" / cohort).glob("*.json")):
                if f"/{cohort}/{case}." in record.read_text(encoding="utf-8"):
                    return [f"{shlex.quote(place)}/*/{cohort}/{case}.*"], f"{place}/batches/{cohort}/{record.name}"
    return [shlex.quote(name)], name


def changed_outputs(folder: Path) -> list[str]:
    """Return the outputs below a working directory that are newer than Snakemake's records of them.

    Snakemake runs again what reads a newer file, and not the job that made it: a file that was damaged or edited is
    taken as it is, and where nothing reads it any more, nobody would learn of it. A change that keeps the time of a
    file is not seen. Records are read only of files that are newer than them: a large study has 100 000.
    """
    return sorted(name for name, record, mark in _records(folder) if _is_changed(folder / name, record, mark))


def _records(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield of each recorded output its name, its record, and the mark that it has while its job runs.

    Snakemake names both in base64, a long name in parts.
    """
    records, marks = (folder / ".snakemake" / name for name in ("metadata", "incomplete"))
    for place, _, files in os.walk(records):
        inside = Path(place).relative_to(records)
        begun = "".join(part.removeprefix("@") for part in inside.parts)
        for file in files:
            try:
                yield base64.urlsafe_b64decode(begun + file).decode(), Path(place, file), marks / inside / file
            except (binascii.Error, UnicodeDecodeError):  # no record of this Snakemake
                continue


def _is_changed(output: Path, record: Path, mark: Path) -> bool:
    try:
        # The time of a folder says nothing of what is in its files.
        files = [file for file in output.rglob("*") if file.is_file()] if output.is_dir() else [output]
        changed = max((file.stat().st_mtime for file in files), default=0.0)
        if changed <= record.stat().st_mtime + SLACK_S or mark.exists():
            return False
        return changed > json.loads(record.read_text("utf-8"))["endtime"] + SLACK_S
    except (OSError, ValueError, KeyError, TypeError):  # removed, or a record that is being written
        return False
