"""Command-line options made from configuration values."""

from collections.abc import Mapping
from typing import Any


def options(values: Mapping[str, Any]) -> list[str]:
    """Turn ``{"patch-size": [32, 40, 32], "features": None}`` into ``["--patch-size", "32", "40", "32"]``.

    ``None`` is left out, so that the script's own default holds; lists become several values of one option; true and
    false become ``--flip`` and ``--no-flip``.
    """
    words: list[str] = []
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        words.append(f"--{name}")
        words.extend(str(item) for item in (value if isinstance(value, list | tuple) else [value]))
    return words
