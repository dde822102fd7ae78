"""What shows that a scan changed, though its folder's own time did not."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

STRAY = {"thumbs.db", "desktop.ini"}  # files that file managers leave, beside those that begin with a point


def source_digest(path: str) -> str:
    """Return a digest of names, sizes and times of a file, or of all files below a folder; no content is read.

    Links are followed, each folder once. What file managers leave does not count; a path that is not there has a
    digest too, since the workflow is also read where the scans are not.
    """
    digest = hashlib.sha256()
    for entry in sorted(_entries(path, set())):
        digest.update("\0".join(map(str, entry)).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:16]


def _entries(path: str, seen: set[str]) -> Iterator[tuple[str, int, int]]:
    try:
        if not Path(path).is_dir():
            found = Path(path).stat()
            yield Path(path).name, found.st_size, found.st_mtime_ns
            return
        real = str(Path(path).resolve())
        if real in seen:
            return
        seen.add(real)
        with os.scandir(path) as scanned:
            entries = [entry for entry in scanned if not _is_stray(entry.name)]
    except (OSError, ValueError):  # no such path, or one that no system takes
        return
    for entry in entries:
        try:
            found = entry.stat()
            inside = entry.is_dir()
        except OSError:  # a broken link; the other files count
            continue
        if inside:
            yield from _entries(entry.path, seen)
        else:
            yield entry.name, found.st_size, found.st_mtime_ns


def _is_stray(name: str) -> bool:
    return name.startswith(".") or name.lower() in STRAY
