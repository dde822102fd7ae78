"""Write the page that lists the cases of a cohort, the most alarming first, with small pictures."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json, write_text
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import by_concern, explained, readings

PICTURED = 100


def entries(cases: Sequence[dict[str, Any]], thumbnails: Path) -> list[dict[str, Any]]:
    """Return the entries of the list for the contents of ``case.json``, sorted by concern.

    The first hundred have pictures, read from ``thumbnails``/{case}.svg: the page of a large cohort stays small.
    """
    listed = []
    for place, described in enumerate(by_concern(cases)):
        case, quality = described["facts"]["case"], described["quality"]
        path = thumbnails / f"{case}.svg"
        listed.append(
            {
                "case": case,
                **{name: quality[name] for name in ("concern", "flags")},
                "meanings": explained(quality["flags"]),
                "nearest": readings(quality)[0],
                "thumbnail": path.read_text(encoding="utf-8") if place < PICTURED else "",
            }
        )
    return listed


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True, help="title of the study")
    parser.add_argument("--notice", help="sentence on top of the page")
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/case.json")
    parser.add_argument("--thumbnails", type=Path, required=True, help="folder with {case}.svg")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what is known of the cases and the small pictures of a cohort, write one page."""
    arguments = _parse(argv)
    folder = arguments.preprocess / arguments.cohort
    listed = entries([read_json(folder / case / "case.json") for case in arguments.cases], arguments.thumbnails)
    page = render(
        "cohort.html.j2",
        title=arguments.title,
        notice=arguments.notice,
        cohort=arguments.cohort,
        cases=listed,
        flagged=sum(bool(case["flags"]) for case in listed),
    )
    write_text(arguments.out, page)


if __name__ == "__main__":
    run(main)
