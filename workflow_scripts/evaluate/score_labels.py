"""Score the trainings of an arm on fewer labels: each number of labels, each draw (docs/label_efficiency.md)."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_tsv
from workflow_scripts.common.vocabulary import TEST, VALIDATION, budget_arm
from workflow_scripts.evaluate import score
from workflow_scripts.evaluate.score_test import record_look

COLUMNS = ("arm", "labels", *score.COLUMNS[1:])


def label_rows(arguments: argparse.Namespace, split: str) -> list[dict[str, Any]]:
    """Return the rows (`COLUMNS`) of all numbers of labels in one split; no mask of another split is read."""
    rows = []
    for labels in arguments.labels:
        for case, fixed in score.cases_of(arguments, [split]):
            scored = score.score_files(
                case,
                arguments.references,
                arguments.segmentations / budget_arm(arguments.arm, labels),
                arguments.members,
                arguments.min_component_ml,
            )
            rows += [fixed | {"labels": labels} | row for row in scored]
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Write the scores as a table; on the test set only of an arm that may be tested, after the record of the look."""
    parser = score.basic_parser(__doc__)
    parser.add_argument("--labels", type=int, nargs="+", required=True, help="numbers of labelled patients")
    parser.add_argument("--looks", type=Path, help="score the test set too: TSV, record of looks at it, which grows")
    parser.add_argument("--config-sha256", required=True, help="digest of the configuration")
    arguments = parser.parse_args(argv)
    rows = label_rows(arguments, VALIDATION)
    if arguments.looks:
        tested = label_rows(arguments, TEST)
        record_look(arguments.looks, tested, f"{arguments.arm}, fewer labels", arguments.config_sha256)
        rows += tested
    write_tsv(arguments.out, rows, COLUMNS)


if __name__ == "__main__":
    run(main)
