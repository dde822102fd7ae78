"""One table of all benchmarks that ran: results/bench.md, with what each printed below it."""

from pathlib import Path

import pytest

from workflow_scripts.common.files import write_text

OUT = Path("results", "bench.md")
HERE = "benchmarks/bench_"


def page(reports: list[pytest.TestReport]) -> str:
    """Return a row a benchmark, its last line for a result, and then everything that each printed."""
    rows, details = [], []
    for report in reports:
        name = report.nodeid.rpartition("/bench_")[2].replace(".py::bench_", ": ")
        lines = [line for line in report.capstdout.splitlines() if line.strip()]
        result = lines[-1].strip(" |").replace("|", "·") if lines else ""
        told = result if report.passed else f"**{report.outcome}** {result}"
        rows.append(f"| {name} | {report.duration:.0f} | {told} |")
        details.append(f"## {name}\n\n```\n{report.capstdout.strip()}\n```\n")
    table = "\n".join(["| benchmark | seconds | its last line |", "|---|---|---|", *rows])
    return f"# Benchmarks\n\n{table}\n\n" + "\n".join(details)


class _Table:
    def __init__(self) -> None:
        self.reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if HERE in report.nodeid and (report.when == "call" or report.failed):
            self.reports.append(report)
            write_text(OUT, page(self.reports))  # after each: the whole takes an hour


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Table())
