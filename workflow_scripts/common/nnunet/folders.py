"""The three folders that nnU-Net looks up in environment variables."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLES = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
WORKERS = "nnUNet_n_proc_DA"


@contextmanager
def nnunet_folders(root: Path, workers: int) -> Iterator[Path]:
    """Point nnU-Net at ``raw``, ``preprocessed`` and ``results`` under ``root`` while the block runs.

    nnU-Net 2.8 reads the variables at every use, so setting them after its import is early enough.

    Parameters
    ----------
    root
        folder that holds the three; they are made
    workers
        processes for augmentation; 0 keeps it in this process, which makes trainings on the CPU repeat bit by bit
        (the planner needs at least 1)
    """
    wanted = {name: str(root / folder) for name, folder in VARIABLES.items()} | {WORKERS: str(workers)}
    before = {name: os.environ.get(name) for name in wanted}
    for folder in VARIABLES.values():
        (root / folder).mkdir(parents=True, exist_ok=True)
    os.environ.update(wanted)
    try:
        yield root
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
