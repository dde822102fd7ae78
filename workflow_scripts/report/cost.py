"""What a study cost: time and memory of every rule, from the benchmark files that Snakemake wrote.

No rule runs this, since a benchmark file cannot be an input. Run it by hand on a finished or half finished study, and
compare with the requests in config.yaml, section ``resources``.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from workflow_scripts.common.benchmarks import number, read_benchmarks
from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_tsv

COLUMNS = ("stage", "rule", "jobs", "wall_s_median", "wall_s_max", "cpu_s_total", "memory_mb_max")


def costs(measured: Mapping[tuple[str, str], Sequence[Mapping[str, str]]]) -> list[dict[str, Any]]:
    """Summarise the benchmark rows of each (stage, rule).

    Memory is the largest resident set of a job with its children; a job too short to be looked at has none and counts
    for time only.
    """
    return [
        {
            "stage": stage,
            "rule": rule,
            "jobs": len(rows),
            "wall_s_median": median(float(row["s"]) for row in rows),
            "wall_s_max": max(float(row["s"]) for row in rows),
            "cpu_s_total": sum(_numbers(rows, "cpu_time")),
            "memory_mb_max": max(_numbers(rows, "max_rss"), default=None),
        }
        for (stage, rule), rows in sorted(measured.items())
    ]


def _numbers(rows: Sequence[Mapping[str, str]], column: str) -> list[float]:
    return [found for row in rows if (found := number(row[column])) is not None]


def rows_of_rules(folder: Path) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the benchmark rows of each (stage, rule) below a folder."""
    measured = defaultdict(list)
    for name, rows in read_benchmarks(folder):
        stage, rule = name.split("/")[:2]
        measured[stage, rule] += rows
    return dict(measured)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder, for example results/benchmarks")
    parser.add_argument("--out", type=Path, required=True, help="table to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the benchmarks of a study, write one row a rule."""
    arguments = _parse(argv)
    write_tsv(arguments.out, costs(rows_of_rules(arguments.benchmarks)), COLUMNS)


if __name__ == "__main__":
    run(main)
