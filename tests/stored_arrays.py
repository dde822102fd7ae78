"""Stored arrays written anew, with the same values or with others."""

from pathlib import Path

import blosc2


def recompress(folder: Path) -> None:
    """Write all arrays below a folder anew: the same values in other bytes."""
    for path in folder.rglob("*.b2nd"):
        before = path.read_bytes()
        _write(path, blosc2.open(str(path))[:])
        assert path.read_bytes() != before


def change_voxel(path: Path) -> None:
    """Change one value of an array."""
    values = blosc2.open(str(path))[:]
    values.flat[values.size // 2] += 1
    _write(path, values)


def _write(path: Path, values) -> None:
    path.unlink()
    blosc2.asarray(values, urlpath=str(path), cparams={"clevel": 1, "codec": blosc2.Codec.ZSTD})
