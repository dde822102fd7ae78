"""Write settings to a file, so that the rules that depend on them have it as an input."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_yaml


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON")
    parser.add_argument("--out", type=Path, required=True, help="YAML")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write JSON as YAML, keys in their order."""
    arguments = _parse(argv)
    write_yaml(arguments.out, arguments.settings)


if __name__ == "__main__":
    run(main)
