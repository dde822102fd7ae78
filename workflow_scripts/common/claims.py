"""The right to work in a folder, which one process has at a time and loses with its end, however that comes.

After SIGKILL to Snakemake a training of its goes on, and the next call begins the same training beside it. A lock of
the file system ends with its process; but some file systems have no locks, or keep them on one machine alone. So who
works in a folder also writes that it lives, again and again, and who has fallen silent is taken for dead.
"""

import fcntl
import json
import logging
import os
import platform
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

CLAIM = "in_use"
BEAT_S, SILENCE_S = 15.0, 90.0  # between two signs of life; after which none is expected any more
POLL_S, SETTLE_S = 2.0, 1.0
BOOT, NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


class Claim:
    """The claim to a folder, given back as the ``with`` block ends.

    Its file stays, empty while no one works there. Snakemake must not know it: before a job begins, Snakemake removes
    the job's log and outputs, and a lock on what was removed is found by no one.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CLAIM
        self._file: int | None = None
        self._found, self._found_at = "", 0.0  # the record of another, and when it was first read like this
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._beating is not None:
            self._ended.set()
            self._beating.join()
            os.ftruncate(self._file, 0)
            _lock(self._file, fcntl.LOCK_UN)  # processes that were forked meanwhile have the file open, too
        if self._file is not None:
            os.close(self._file)

    def wait(self, ask: Callable[[Callable[[], str]], str] = lambda take: take()) -> None:
        """Wait until the folder is this process's own; a warning says whose it is.

        ``ask`` calls what it is given; where several processes train together, in the first of them, for all.
        """
        told = ""
        while holder := ask(self.take):
            if holder != told:
                log.warning("Waiting: %s", holder)
            told = holder
            time.sleep(POLL_S)

    def take(self) -> str:
        """Try once; returns who else works in the folder, and the remedy, or nothing where it is this process's now."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        locked = _lock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        record = self._read()
        if locked is False or (record and self._lives(record, locked)):
            return self._told(record)
        mine = _signature()
        self._write(mine)
        if locked is None:
            time.sleep(SETTLE_S)
            if (record := self._read()) != mine:  # of another, that began at the same moment
                return self._told(record)
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return ""

    def _lives(self, record: str, locked: bool | None) -> bool:
        """Whether the process may live that wrote a record; ``locked``: the lock was free, if there are locks."""
        if record != self._found or not self._found_at:
            self._found, self._found_at = record, time.monotonic()
        holder = _parsed(record)
        if holder.get("kernel") == _kernel() and (locked or not _runs(holder)):
            return False
        return time.monotonic() - self._found_at <= SILENCE_S

    def _told(self, record: str) -> str:
        holder = _parsed(record)
        process, host, job = (holder.get(name) for name in ("process", "host", "job"))
        who, end = "another process", f"find it on its machine with fuser {shlex.quote(str(self._path))}"
        if process:
            who, end = f"process {process} on {host}, since {holder.get('since')},", f"kill {process}, on {host}"
        return (
            f"{who} works in {self._path.parent}; it may have gone on when its Snakemake was killed. As soon as it has "
            f"ended, this one goes on from there. To end it now: {end}{f', or scancel {job}' if job else ''}."
        )

    def _beat(self) -> None:
        beats = 0
        while not self._ended.wait(BEAT_S):
            beats += 1
            try:
                self._write(_signature(beats))
            except OSError as error:  # no reason to end a training
                log.debug("no sign of life could be written: %s", error.strerror)

    def _read(self) -> str:
        # Opened anew, so that a file system on the network looks for what others have written.
        return self._path.read_text(encoding="utf-8", errors="replace")

    def _write(self, record: str) -> None:
        content = record.encode()
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        os.fsync(self._file)


def _lock(file: int, how: int) -> bool | None:
    """Lock or unlock a file; returns False where another process has it, None where there are no locks."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _signature(beats: int = 0) -> str:
    me = {"process": os.getpid(), "host": platform.node(), "job": os.environ.get("SLURM_JOB_ID"), "since": BEGAN}
    return json.dumps(me | {"kernel": _kernel(), "namespace": _namespace(), "beats": beats})


def _parsed(record: str) -> dict[str, Any]:
    """Return a record as it was meant; empty where it is damaged, or being written."""
    try:
        content = json.loads(record)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _runs(holder: dict[str, Any]) -> bool:
    """Whether a process of this machine runs; one of another container cannot be seen, and may."""
    if holder.get("namespace") != _namespace():
        return True
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except (PermissionError, KeyError, TypeError):
        return True
    return True


def _kernel() -> str:
    """What tells a running machine from others, also from one of the same name."""
    try:
        return BOOT.read_text("utf-8").strip()
    except OSError:
        return platform.node()


def _namespace() -> str:
    try:
        return str(NAMESPACE.readlink())
    except OSError:
        return ""


BEGAN = time.strftime("%Y-%m-%d %H:%M:%S")
