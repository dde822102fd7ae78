"""The benchmark files that Snakemake writes of a study: time and memory of each job."""

from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv


def read_benchmarks(folder: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield the name of each job, its path below ``folder`` without suffix, and its rows, one a repetition.

    The first part of a name is the stage, the second one is shared by the jobs of a rule. Raises `InputError` where
    there are no files.
    """
    paths = sorted(folder.rglob("*.tsv"))
    if not paths:
        raise InputError(f"There is no benchmark below {folder}.", "name the folder `benchmarks` of a study's results.")
    for path in paths:
        yield path.relative_to(folder).with_suffix("").as_posix(), read_tsv(path)


def number(cell: str) -> float | None:
    """Return a cell's number; None where the job was too short to be looked at."""
    return None if cell in ("-", "NA", "") else float(cell)
