"""Digests by which files and descriptions are recognised: SHA-256, hexadecimal. Those of arrays: `array_digests`."""

import hashlib
from pathlib import Path


def bytes_digest(content: bytes | memoryview) -> str:
    """Return the digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path | str) -> str:
    """Return the digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
