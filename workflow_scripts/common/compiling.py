"""Kernels compiled where a job runs, which needs Triton and a C compiler there: tried before the work begins."""

import logging
from collections.abc import Callable

from workflow_scripts.common.errors import InputError

log = logging.getLogger(__name__)


def trial_compiles(trial: Callable[[], object], setting: str, choice: str) -> bool:
    """Say whether to compile for a GPU: never, or where ``trial`` succeeds.

    Parameters
    ----------
    trial
        compiles something small and runs it
    setting
        name of the setting in the configuration, for messages
    choice
        its value: ``never``, ``auto`` or ``always``

    Raises `InputError` where the trial fails and the choice is ``always``; with ``auto`` a warning says why it failed.
    """
    if choice == "never":
        return False
    try:
        trial()
    except Exception as error:  # Triton's compiler, the system's or the driver: each has errors of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if choice == "always":
            raise InputError(
                f"Kernels for the GPU cannot be compiled: {reason}.",
                f"install triton and a C compiler (gcc) where the job runs, or set {setting} to auto.",
            ) from error
        log.warning("Kernels for the GPU cannot be compiled (%s): a step takes longer; see docs/gpu.md", reason)
        return False
    return True
