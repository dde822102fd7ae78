"""A lock on a file that ends with the processes that hold it, however they end."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def alone_with(path: Path, waiting: str) -> Iterator[int]:
    """Hold a lock while entered; wait for others who hold it, and say so with the warning ``waiting``.

    Yields the descriptor of the lock's file: a process that inherits it holds the lock too, and all that it starts.
    The file is removed when all went well; after an error such processes may still run. No file that Snakemake knows
    serves: it removes outputs and logs of a job before it begins the job. Where there are no locks, nobody waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(path, waiting)
    try:
        yield file
        path.unlink(missing_ok=True)
    finally:
        os.close(file)


def _locked(path: Path, waiting: str) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            log.debug("no locks here (%s)", error.strerror)
            return file
        if _is(file, path):
            return file
        os.close(file)  # who held it has removed it: the next one holds another file


def _is(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
