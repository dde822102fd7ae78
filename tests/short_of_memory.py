"""Command lines at a place of which memory runs out (run by tests, in a process that has allocated nothing before)."""

import importlib
import json
import multiprocessing
import resource
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError

ONE_TERABYTE = 2**40


def messages(module: str, argv: Sequence[str], places: Sequence[str]) -> dict[str, str]:
    """Run a module's `main` once for each place, ``kind:module:object.attribute``; return what it told."""
    command = [sys.executable, "-m", "tests.short_of_memory", module, json.dumps(list(argv)), *places]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def exhaust(kind: str) -> None:
    """Limit the process to the memory that it has, and ask for more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, used))
    if kind == "gpu":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    np.empty(ONE_TERABYTE, np.uint8) if kind == "numpy" else torch.empty(ONE_TERABYTE, dtype=torch.uint8)


def run(module: str, argv: Sequence[str], place: str, told: Connection) -> None:
    kind, path, attribute = place.split(":")
    owner = importlib.import_module(path)
    *parents, name = attribute.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, lambda *_, **__: exhaust(kind))
    torch.set_num_threads(1)
    try:
        importlib.import_module(module).main(argv)
    except InputError as error:
        told.send(str(error))


def main(module: str, argv: str, *places: str) -> None:
    found = {}
    context = multiprocessing.get_context("fork")
    importlib.import_module(module)
    for place in places:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(module, json.loads(argv), place, sender))
        process.start()
        sender.close()
        try:
            found[place] = receiver.recv()
        except EOFError:
            found[place] = "told nothing"
        process.join()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
