"""A compiler for the kernels of a GPU, looked for on the machine of the call: before anything waits in a queue."""

import os
import shlex
import shutil
from collections.abc import Mapping
from typing import Any

NAMES = ("gcc", "clang")  # what Triton looks for where CC names none


def without_compiler(config: Mapping[str, Any], trainings: Mapping[str, bool]) -> dict[str, str]:
    """Return ``compile`` of the sections whose jobs would compile and find no compiler, if they run on such a machine.

    Parameters
    ----------
    trainings
        whether the study has such trainings, by section: ``pretrain``, ``finetune``
    """
    if config["device"] == "cpu" or compiler():
        return {}
    wanting = (name for name, exists in trainings.items() if exists and config["resources"][name]["gpu"])
    return {name: config[name]["compile"] for name in wanting if config[name]["compile"] != "never"}


def compiler() -> str | None:
    """Return the path of the C compiler that Triton would take; None where there is none."""
    given = shlex.split(os.environ.get("CC", ""))[:1] or NAMES
    return next(filter(None, map(shutil.which, given)), None)
