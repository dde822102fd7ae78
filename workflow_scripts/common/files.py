"""Files and folders that are written completely or not at all."""

import csv
import fcntl
import glob
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.common.errors import InputError

PARTIAL, RANDOM_LETTERS = ".partial-", 8  # names of the module tempfile
UMASK = os.umask(0o077)  # read once: it can only be read by setting it, for other threads too
os.umask(UMASK)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, renamed to ``path`` when the block ends without an error.

    The temporary name keeps the suffixes of ``path``, since many writers choose their format by it. The parent
    folder is made. When the block raises, the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path.parent, path.name)
    handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.name, dir=path.parent)
    _claim(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~UMASK)
        temporary.replace(path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that takes its place when the block ends without an error."""
    path = Path(path)
    with _holder(path.parent, path.name) as holder:
        temporary = holder / path.name
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)


@contextmanager
def replacing_entries(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder; when the block ends without an error, its entries take their places in ``path``.

    Other entries of ``path`` stay. Nothing is written beside ``path``, whose parent may be read-only.
    """
    path = Path(path)
    made = not path.exists()
    try:
        with _holder(path) as holder:
            yield holder
            for entry in sorted(holder.iterdir()):
                target = path / entry.name
                if target.is_dir():
                    shutil.rmtree(target)
                entry.replace(target)
    finally:
        if made and path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def require_regular(path: Path) -> None:
    """Raise `InputError` where a path is a pipe or a device, whose opening may wait for ever."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path.name} is a pipe or a device.", "name a file.")


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON with sorted keys; NaN is refused, since other readers of JSON fail on it."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path | str, keys: Iterable[str] = ()) -> Any:
    """Read a JSON file that has at least ``keys``, a.b for the entry b inside a.

    Raises `InputError`, as `read_yaml` and `read_tsv` do, for a file that is damaged, cut short or something else.
    """
    with _readable(path, "JSON"):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    for key in keys:
        inside = content
        for name in key.split("."):
            if not isinstance(inside, Mapping) or name not in inside:
                raise _refusal(path, f"has no {key}")
            inside = inside[name]
    return content


def write_yaml(path: Path | str, content: Any) -> None:
    """Write YAML in the order of the mapping's keys."""
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file."""
    with _readable(path, "YAML"):
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def write_tsv(path: Path | str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write ``rows`` under a header of ``columns``; ``None`` becomes an empty cell, floats keep six digits."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(row[key]) for key in columns} for row in rows)


def read_tsv(path: Path | str, columns: Iterable[str] = ()) -> list[dict[str, str]]:
    """Read a table with a header into one mapping of strings a row.

    A table with ``columns`` is one of `write_tsv`: it must have them, a cell for each in every row, and its last line's
    end.
    """
    with _readable(path, "table"):
        text = Path(path).read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
        rows, found = list(reader), reader.fieldnames or ()
    if missing := [column for column in columns if column not in found]:
        raise _refusal(path, f"has no column {', '.join(missing)}")
    if columns and (not text.endswith("\n") or any(None in row or None in row.values() for row in rows)):
        raise _refusal(path, "is cut short or has a row with too few or too many cells")
    return rows


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(value, ".6g")
    return value


@contextmanager
def _readable(path: Path | str, kind: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "run the step that makes it, or correct the path.") from None
    except (ValueError, RecursionError, yaml.YAMLError, csv.Error) as error:
        raise _refusal(path, f"is damaged, or no {kind}") from error


def _refusal(path: Path | str, complaint: str) -> InputError:
    return InputError(f"{path} {complaint}.", "delete it and run again: the step that makes it makes it anew.")


@contextmanager
def _holder(parent: Path, suffix: str = "") -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    _remove_left(parent, suffix)
    with tempfile.TemporaryDirectory(prefix=PARTIAL, suffix=suffix, dir=parent) as holder:
        handle = os.open(holder, os.O_RDONLY)
        _claim(handle)
        try:
            yield Path(holder)
        finally:
            os.close(handle)


def _remove_left(parent: Path, suffix: str) -> None:
    """Remove what a process that was killed while it wrote the same file or folder has left."""
    for left in parent.glob(f"{PARTIAL}{'?' * RANDOM_LETTERS}{glob.escape(suffix)}"):
        with suppress(OSError):  # another process removes it, too, or it cannot be removed
            handle = os.open(left, os.O_RDONLY)
            try:
                if _claim(handle):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(handle)


def _claim(handle: int) -> bool:
    """Hold a lock that ends with this process; returns whether it was free. Where there are no locks, none is."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
