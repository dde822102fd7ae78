"""Trainings that are killed at random moments."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

PATIENCE_S = 120


def killed_in(number: int, moments: dict[str, tuple[type, str]], train: Callable[[], Any]) -> str:
    """Start a training in a process of its own and end it by SIGKILL; return the name of the moment it was in.

    Parameters
    ----------
    number
        the training is killed as the moment of this number begins, counted from 1
    moments
        by name, a class and its method whose calls are moments
    """
    # Forked, so that a restart does not pay for importing torch; nothing of the killed process is used again.
    context = multiprocessing.get_context("fork")
    listening, telling = context.Pipe(duplex=False)
    process = context.Process(target=_train_telling, args=(moments, train, telling))
    process.start()
    try:
        for _ in range(number):
            assert listening.poll(PATIENCE_S)
            running = listening.recv()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return running


def _train_telling(moments: dict[str, tuple[type, str]], train: Callable[[], Any], told: Any) -> None:
    for name, (owner, method) in moments.items():
        setattr(owner, method, _telling(getattr(owner, method), name, told))
    train()
    told.send("end")


def _telling(method: Callable, name: str, told: Any) -> Callable:
    def telling(self, *arguments):
        told.send(name)
        return method(self, *arguments)

    return telling
