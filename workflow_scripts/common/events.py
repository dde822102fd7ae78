"""The curves of a running training, as TensorBoard shows them: numbers of epochs alone, and no name of a case."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from workflow_scripts.common.training_store import EVENTS


class Events:
    """Events of one training, below its folder of states; leaving the ``with`` block closes their file.

    A training that goes on begins them anew with the epochs that its state holds, so that none is shown twice.
    """

    def __init__(self, folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
        self._writer = SummaryWriter(folder / EVENTS)
        for row in rows:
            self.add(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of an epoch, named by their columns; ``row`` holds its number as ``epoch``."""
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()
