"""A second training beside one that still runs, as after SIGKILL to its Snakemake."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE_S = 120


def second_waits(monkeypatch: pytest.MonkeyPatch, train: Callable[[], Any], owner: Any, method: str) -> Any:
    """Train in a process of its own and, when that has called a method, here too, where the method is not there.

    The first goes on when the second waits. Returns what the second returned.
    """
    context = multiprocessing.get_context("fork")
    began, go_on = context.Event(), context.Event()
    original = getattr(owner, method)

    def holding(*arguments: Any, **keywords: Any) -> Any:
        began.set()
        assert go_on.wait(PATIENCE_S)
        return original(*arguments, **keywords)

    def wait(seconds: float) -> None:
        del seconds
        go_on.set()
        first.join(PATIENCE_S)

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, holding)
        first = context.Process(target=train)
        first.start()
        assert began.wait(PATIENCE_S)
        patched.setattr(owner, method, None)
        patched.setattr(time, "sleep", wait)
        try:
            result = train()
        finally:
            go_on.set()
            first.join(PATIENCE_S)
    assert first.exitcode == 0
    return result
