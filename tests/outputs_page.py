"""Reads docs/outputs.md: the files that it lists, and the columns or keys that it gives for each."""

import re
from collections.abc import Iterator

from tests.workflow import ROOT

PAGE = ROOT / "docs" / "outputs.md"
OPTIONAL = "only with"


def _rows() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield, for each row of a table, the file of its heading (or ""), the names in its first cell, and its cells."""
    file, header = "", ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"#+ (?:`(.+)`|.*)", line):
            file = heading[1] or ""
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            yield file or header, re.findall(r"`([^`]+)`", cells[0]), cells
        elif line.startswith("| "):
            header = line.strip("|").split("|")[0].strip()


def files() -> list[str]:
    """Return the patterns of all files below the output folder; folders end with a slash."""
    return [name for file, names, _ in _rows() if file == "file" for name in names]


def described(optional: bool = True) -> dict[str, list[str]]:
    """Return the columns or keys of each file with a table of its own, without those that only some studies have."""
    found: dict[str, list[str]] = {}
    for file, names, cells in _rows():
        if "/" in file:
            found.setdefault(file, [])
            found[file] += names if optional or not cells[-1].startswith(OPTIONAL) else []
    return found


def matches(pattern: str, name: str) -> bool:
    """Say whether a name is one of a pattern, whose words in braces stand for letters, digits and hyphens."""
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[A-Za-z0-9_-]+", re.escape(pattern)), name) is not None
