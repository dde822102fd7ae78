"""Cases that are segmented while one process has the model in memory.

Every case is a job of its own: it can be asked for alone, and fail or be repeated without the others. But loading a
model may take longer than segmenting an image. So a job may go on with others of its batch, whose jobs are still to
come, and keep what it makes in a store. They find it there, by a digest of everything that it depends on, and load no
model.
"""

import fcntl
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.common.digests import bytes_digest, file_digest
from workflow_scripts.common.files import replacing_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """Results that wait for the job of their case.

    Attributes
    ----------
    folder
        has one folder a case, in which each result lies under its digest
    key
        what the results of all cases depend on, as text: the model, settings, code
    """

    folder: Path
    key: str

    def place(self, case: str, images: Sequence[Path]) -> Path:
        """Return where the result of a case lies that was made from these files."""
        parts = [self.key, *(file_digest(image) for image in images)]
        return self.folder / case / bytes_digest("\n".join(parts).encode())[:16]

    def forget(self, case: str) -> None:
        """Remove what waits for the job of a case."""
        shutil.rmtree(self.folder / case)


def outdated(outputs: Iterable[Path], inputs: Iterable[Path]) -> bool:
    """Return whether an output lacks or is older than an input; never where an input lacks, which is not made yet."""
    outputs, inputs = list(outputs), list(inputs)
    if not all(path.exists() for path in inputs):
        return False
    newest = max(path.stat().st_mtime for path in inputs)
    return any(not path.exists() or path.stat().st_mtime < newest for path in outputs)


def segment_batch(
    store: Store,
    case: str,
    others: Sequence[str],
    images: Callable[[str], Sequence[Path]],
    make: Callable[[str, Path], None],
) -> Path:
    """Return the folder of a case's result, taken from the store or made; with the model at hand, make others too.

    A case that another process is making is left to it. A fault in one of ``others`` is told by its own job.

    Parameters
    ----------
    others
        further cases that are wanted, and whose images are there
    images
        the files that a case's result is made from
    make
        segments a case and writes its files into a folder
    """
    wanted = store.place(case, images(case))
    if wanted.is_dir():
        log.info("%s was segmented by the job of another case", case)
        return wanted
    for one in (case, *others):
        try:
            _make(store.place(one, images(one)), one, make, wait=False)
        except Exception as error:
            if one == case:
                raise
            log.warning("%s is left to its own job: %s", one, type(error).__name__)
    _make(wanted, case, make, wait=True)
    return wanted


def _make(place: Path, case: str, make: Callable[[str, Path], None], wait: bool) -> None:
    with _claimed(place.parent.with_name(f"{case}.lock"), wait) as claimed:
        if claimed and not place.is_dir():
            with replacing_folder(place) as folder:
                make(case, folder)


@contextmanager
def _claimed(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock that ends with this process; yield whether it was free. Where there are no locks, all are free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            log.info("no locks here (%s): two processes may make the same case", error.strerror)
        yield True
