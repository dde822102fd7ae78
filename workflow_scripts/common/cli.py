"""What every command line needs: logging, thread counts, memory, errors reported in one line."""

import argparse
import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from workflow_scripts.common.errors import DATA_STATUS, HOPELESS, InputError, MemoryShortage
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.common.malloc import keep_freed_memory
from workflow_scripts.common.out_of_memory import memory_shortage_told

log = logging.getLogger(__name__)

Main = Callable[[Sequence[str] | None], None]

ROOM = "make room in the output folder and in TMPDIR, or raise the quota; then run again."
RIGHTS = "give the user who runs this permission to read the input and to write the output."
MEMORY = "take a machine or GPU with more memory; in a study, raise mem_mb of this step's entry under `resources`."
OS_REMEDIES = {errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EFBIG: ROOM, errno.EACCES: RIGHTS, errno.EROFS: RIGHTS}
INTERRUPTED_STATUS = 75  # EX_TEMPFAIL of sysexits.h: run again


def add_case(parser: argparse.ArgumentParser) -> None:
    """Add ``--cohort`` and ``--case``, which name the case in every message."""
    parser.add_argument("--cohort", required=True, help="cohort of the case, as in the case sheet")
    parser.add_argument("--case", required=True, help="case, as in the case sheet")


def run(main: Main, argv: Sequence[str] | None = None, *, reads_headers: bool = False) -> None:
    """Run ``main`` with logging to standard error and exit with its status.

    An `InputError` becomes one line that starts with the case (where ``--cohort`` and ``--case`` were given) and exit
    status 1, or `DATA_STATUS` for a case that another try would not help; a training that ended on a scheduler's
    warning, and what Ctrl-C ended, exit with 75. Any other exception keeps its traceback, since it is a fault of this
    program. The exceptions are those that a user can correct: a full disk, a missing permission, a lack of memory.
    Where ``reads_headers``, the traceback comes without the words of the exception, which may quote a patient's header
    or the name of a file.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    keep_freed_memory()
    arguments = list(sys.argv[1:] if argv is None else argv)
    log.info("running on %s", sys.executable)
    try:
        with memory_shortage_told(MEMORY):
            main(arguments)
    except InputError as error:
        case = _case_prefix(arguments)
        hopeless = case and not isinstance(error, MemoryShortage)
        if hopeless:
            log.info(HOPELESS)
        log.error("%s%s", case, error)
        raise SystemExit(DATA_STATUS if hopeless else 1) from None
    except (Interrupted, KeyboardInterrupt) as error:
        log.warning("%s", str(error) or "Interrupted.")
        raise SystemExit(INTERRUPTED_STATUS) from None
    except Exception as error:
        told = _told(error, reads_headers)
        if told is None:
            raise
        log.error("%s%s", _case_prefix(arguments), told)
        raise SystemExit(1) from None


def _told(error: Exception, reads_headers: bool) -> str | None:
    """Say what a user is told instead of a whole traceback; None where that is kept."""
    if isinstance(error, OSError) and error.errno in OS_REMEDIES:
        where = f" {error.filename!r}" if error.filename else ""
        return f"{os.strerror(error.errno)}{where}. Remedy: {OS_REMEDIES[error.errno]}"
    if not reads_headers:
        return None
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}, a fault of this program; its words may quote a header and are left out.\n{frames}"


def _case_prefix(arguments: Sequence[str]) -> str:
    named, _ = _case_parser().parse_known_args(arguments)
    return f"Case {named.cohort}/{named.case}: " if named.case else ""


def _case_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--cohort")
    parser.add_argument("--case")
    return parser
