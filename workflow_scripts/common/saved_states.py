"""The states that a stopped training goes on from."""

import io
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing
from workflow_scripts.common.training_store import STATES

log = logging.getLogger(__name__)

GENERATIONS = 2


class States:
    """The newest states of one training.

    Each file's name holds the optimiser steps done and a checksum of its content, since torch loads a file with
    changed weights without a word. States are written in the background; leaving the ``with`` block waits for that.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(1, "state")
        self._writing: Future[None] | None = None
        self._last = time.monotonic()

    def due(self, minutes: float) -> bool:
        """Whether this time has passed since a state was saved, or since the training began."""
        return time.monotonic() - self._last >= 60 * minutes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wait()

    def load(self) -> dict[str, Any] | None:
        """Return the newest sound state, or None where none was saved.

        Raises `InputError` when states were saved and every one is damaged.
        """
        self.wait()
        files = self._newest_first()
        for file in files:
            content = file.read_bytes()
            if _checksum(content) in file.name:
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            log.warning("%s is damaged; falling back to the state before it", file.name)
        if files:
            raise InputError(
                f"Every saved state is damaged: {', '.join(file.name for file in files)}.",
                f"delete {self.folder} to start anew.",
            )
        return None

    def save(self, state: Mapping[str, Any], step: int) -> None:
        """Copy a state after some optimiser steps and write it while the training goes on.

        Older ones go when it is safely on the disk. Raises what `wait` raises of the state before.
        """
        self.wait()
        self._last = time.monotonic()
        copy = _with_tensors(lambda tensor: tensor.detach().to("cpu", copy=True), dict(state))
        self._writing = self._pool.submit(self._write, copy, step)

    def wait(self) -> None:
        """Wait until the state that is being written is safe.

        Raises `InputError` when it cannot be written; the states before are left as they are.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, state: Mapping[str, Any], step: int) -> None:
        for left in self.folder.glob(".partial-*"):
            left.unlink()  # of a process that was killed while it saved
        buffer = io.BytesIO()
        torch.save(state, buffer)
        newest = self.folder / f"step-{step:09d}-{_checksum(buffer.getbuffer())}.pt"
        try:
            with replacing(newest) as temporary, temporary.open("wb") as handle:
                handle.write(buffer.getbuffer())
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            raise InputError(
                f"The state after step {step} cannot be saved: {error.strerror}. Earlier ones are intact.",
                f"make room in {self.folder} and run the same command again.",
            ) from error
        # What claims to be newer is damaged, or the training would have gone on from there.
        earlier = [file for file in self._newest_first() if file.name < newest.name]
        for file in set(self._newest_first()) - {newest, *earlier[: GENERATIONS - 1]}:
            file.unlink()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(STATES), reverse=True)


def _with_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Return nested mappings and sequences with a function of each tensor in the tensor's place."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: _with_tensors(function, branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_with_tensors(function, branch) for branch in tree]
    return tree


def _checksum(content: bytes | memoryview) -> str:
    return bytes_digest(content)[:16]
