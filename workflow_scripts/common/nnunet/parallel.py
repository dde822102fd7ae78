"""The same work for many cases, in this process or in several."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def for_each(function: Callable[..., Any], arguments: Sequence[tuple], threads: int) -> list[Any]:
    """Call ``function(*arguments[i])`` for each i and return the results in order.

    With one thread everything stays in this process: a worker takes seconds to import torch and nnU-Net, which only
    pays for many cases. ``function`` must be one that workers can import. Results do not depend on ``threads``.
    """
    if threads <= 1:
        return [function(*each) for each in arguments]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(threads, len(arguments)), mp_context=context) as pool:
        futures = [pool.submit(function, *each) for each in arguments]
        return [future.result() for future in futures]
