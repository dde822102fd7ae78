"""The states that a stopped training goes on from."""

import errno
import io
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing
from workflow_scripts.common.training_store import STATES

log = logging.getLogger(__name__)

GENERATIONS = 2
TRAINING = "training"  # key of its name
PLAIN = (int, float, str, bool)


class States:
    """The newest states of one training.

    Each file's name holds the optimiser steps done and a checksum of its content, since torch loads a file with
    changed weights without a word. States are written in the background; leaving the ``with`` block waits for that.

    Where the ``training`` has a name, each state holds it, and one of another training is not gone on from.
    """

    def __init__(self, folder: Path, training: str | None = None) -> None:
        self.folder = folder
        self._training = training
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
        """Return the newest sound state of this training, or None where none was saved.

        Raises `InputError` when states were saved and none is sound and of this training.
        """
        self.wait()
        files = self._newest_first()
        for file in files:
            content, fault = file.read_bytes(), "damaged"
            if _checksum(content) in file.name:
                state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                name = state.pop(TRAINING, None)
                if self._training is None or name in (None, self._training):
                    return state
                fault = "of another training"
            log.warning("%s is %s; falling back to the state before it", file.name, fault)
        if files:
            raise InputError(
                f"Every saved state is damaged or of another training: {', '.join(file.name for file in files)}.",
                f"delete {self.folder} to start anew.",
            )
        return None

    def save(self, state: Mapping[str, Any], step: int) -> None:
        """Copy a state after some optimiser steps and write it while the training goes on.

        Older ones go when it is safely on the disk. Raises what `wait` raises of the state before, and `InputError`
        for a state that could not be read again: only tensors and plain values are.
        """
        self.wait()
        self._last = time.monotonic()
        copy = _copied(dict(state), "state")
        if self._training is not None:
            copy[TRAINING] = self._training
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
                f"{_remedy(error)} {self.folder}, and run the same command again.",
            ) from error
        # What claims to be newer is damaged, or the training would have gone on from there.
        earlier = [file for file in self._newest_first() if file.name < newest.name]
        for file in set(self._newest_first()) - {newest, *earlier[: GENERATIONS - 1]}:
            file.unlink()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(STATES), reverse=True)


def _copied(tree: Any, where: str) -> Any:
    """Copy nested mappings and sequences of tensors, onto the CPU, and of plain values, as Python's own types."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: _copied(branch, f"{where}[{key!r}]") for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_copied(branch, f"{where}[{place}]") for place, branch in enumerate(tree)]
    if isinstance(tree, np.generic):
        tree = tree.item()
    if tree is None or type(tree) in PLAIN:
        return tree
    raise InputError(
        f"The state of this training cannot be saved: {where} is a {type(tree).__name__}.",
        "let state_dict() of the method return tensors, numbers, words, and lists and mappings of these alone.",
    )


def _remedy(error: OSError) -> str:
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return "get the permission to write into" if refused else "make room in"


def _checksum(content: bytes | memoryview) -> str:
    return bytes_digest(content)[:16]
