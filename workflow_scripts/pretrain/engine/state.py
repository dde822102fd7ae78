"""The state that a stopped pretraining goes on from."""

import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing

log = logging.getLogger(__name__)

GENERATIONS = 2


class States:
    """The newest states of one training.

    Each file's name holds the optimiser steps done and a checksum of its content, since torch loads a file with
    changed weights without a word.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> dict[str, Any] | None:
        """Return the newest sound state, or None where none was saved.

        Raises `InputError` when states were saved and every one is damaged.
        """
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
        """Add a state after some optimiser steps; older ones go when it is safely on the disk.

        Raises `InputError` when it cannot be written; the states before are left as they are.
        """
        for left in self.folder.glob(".partial-*"):
            left.unlink()  # of a process that was killed while it saved
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
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
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def _checksum(content: bytes | memoryview) -> str:
    return bytes_digest(content)[:16]
