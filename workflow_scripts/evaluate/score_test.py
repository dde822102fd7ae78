"""Score one arm on the test set, and write down that it was looked at (docs/statistics.md)."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.vocabulary import TEST
from workflow_scripts.evaluate.score import COLUMNS, parser, score_splits

LOOK_COLUMNS = ("arm", "look", "time", "cases", "config_sha256", "scores_sha256")


def record_look(path: Path, rows: Sequence[dict[str, Any]], arm: str, config_sha256: str) -> None:
    """Add a row of `LOOK_COLUMNS` to the record of one arm, which outlives the scores: no rule declares it.

    Equal ``scores_sha256`` say that a look repeated an earlier one and showed nothing new.
    """
    earlier = read_tsv(path) if path.exists() else []
    look = {
        "arm": arm,
        "look": len(earlier) + 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cases": len({(row["cohort"], row["case"]) for row in rows}),
        "config_sha256": config_sha256,
        "scores_sha256": bytes_digest(json.dumps(rows).encode()),
    }
    write_tsv(path, [*earlier, look], LOOK_COLUMNS)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the test scores of one arm as a table, after the record of the look."""
    command_line = parser(__doc__)
    command_line.add_argument("--looks", type=Path, required=True, help="TSV, record of the arm's looks, which grows")
    command_line.add_argument("--config-sha256", required=True, help="digest of the configuration")
    arguments = command_line.parse_args(argv)
    final, acquired = score_splits(arguments, [TEST])
    record_look(arguments.looks, final, arguments.arm, arguments.config_sha256)
    write_tsv(arguments.out_acquired, acquired, COLUMNS)
    write_tsv(arguments.out, final, COLUMNS)


if __name__ == "__main__":
    run(main)
