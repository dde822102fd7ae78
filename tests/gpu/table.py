"""The table that is printed and written, and how time and memory are measured."""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


class Table:
    """Rows of what was measured, its value, and what is wanted or meant."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = time.perf_counter()
        self.rows: dict[str, tuple[Any, str]] = {}

    @property
    def minutes(self) -> float:
        """Since the beginning."""
        return (time.perf_counter() - self._started) / 60

    def add(self, name: str, value: Any, remark: str = "") -> None:
        """Print a row and write the table as it is now: whoever ends the run keeps what it found."""
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        self.rows[name] = shown, remark
        print(f"{60 * self.minutes:6.1f} s  {name:<66} {shown}  {remark}", flush=True)
        lines = [f"| {name} | {shown} | {remark} |" for name, (shown, remark) in self.rows.items()]
        (self._folder / "gpu.md").write_text("\n".join(["| measured | value | |", "| --- | --- | --- |", *lines, ""]))
        (self._folder / "gpu.json").write_text(json.dumps(self.rows, indent=1))


def milliseconds(function: Callable[[], Any], repeats: int, warm: int = 2) -> float:
    """Median time of a call, the device's work included."""
    for _ in range(warm):
        function()
    times = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        function()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def wait() -> None:
    """Wait until the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_gb() -> float:
    """GB that tensors took at most since `fresh_memory`."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else float("nan")


def fresh_memory() -> None:
    """Let go of what no one uses, and begin to watch memory anew."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@contextmanager
def changed(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Set attributes for a while: (owner, name, value)."""
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
