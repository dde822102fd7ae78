"""The warning that a scheduler sends some time before it kills a job."""

import logging
import os
import signal
from types import FrameType, TracebackType
from typing import Self

log = logging.getLogger(__name__)

WARNINGS = (signal.SIGTERM, signal.SIGUSR1)


class Interrupted(Exception):
    """A training ended early on a warning; its state is saved, and the same command continues it."""


class Interruption:
    """While entered, SIGTERM and SIGUSR1 are noted instead of ending the process.

    A training calls `check` where its state can be left safely; after a warning this raises `Interrupted`.
    Enter it in the main thread, where Python delivers signals. Processes that are forked meanwhile end on these signals
    as usual, so that whoever joins them can end them.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._received: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        """Whether a warning has come."""
        return self._received is not None

    def check(self) -> None:
        """Raise `Interrupted`, naming the signal, if a warning has come."""
        if self._received is not None:
            raise Interrupted(f"Ended early on {self._received.name}; run the same command again to go on.")

    def __enter__(self) -> Self:
        for number in WARNINGS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received = signal.Signals(number)
        log.warning("%s received: saving and ending", self._received.name)
