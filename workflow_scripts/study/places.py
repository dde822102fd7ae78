"""Paths that a job on a cluster can be sent with."""

import re
from collections.abc import Iterable
from pathlib import Path

from workflow_scripts.study.schemas import StudyError

SAFE = re.compile(r"[A-Za-z0-9_./+=:@%,~-]*")


def require_safe(executor: str, places: Iterable[Path | str]) -> None:
    """Raise `StudyError` where a path has what the shells between Snakemake, cluster and job would take apart.

    Paths of a local run may have any character.
    """
    for place in places:
        if not SAFE.fullmatch(str(place)):
            odd = sorted({character for character in str(place) if not SAFE.fullmatch(character)})
            raise StudyError(
                f"{str(place)!r} has {' '.join(map(repr, odd))} in it; jobs of the executor {executor!r} cannot be sent"
                " with such a path. Move it to a path of letters, digits and _ . - , or run on this machine."
            )
