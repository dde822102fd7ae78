"""What can happen to a file."""

from pathlib import Path


def empty(path: Path) -> None:
    """Leave nothing in it, as a full disk does."""
    path.write_bytes(b"")


def cut(path: Path) -> None:
    """Leave half of it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other(path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


def words(path: Path) -> None:
    """Put text in its place, which is YAML, and JSON, of another type."""
    path.write_text('"words"')


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = (empty, cut, other, words)
