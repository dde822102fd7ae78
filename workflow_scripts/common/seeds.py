"""One way to derive every random choice from the seed of the study (`seed` in the configuration).

A choice has a purpose in words, which may hold names, and numbers: an epoch, a step, a patient. Equal ones give equal
draws, and different ones independent draws, whatever else is drawn and in whatever order. docs/architecture.md lists
all purposes.
"""

import numpy as np


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose.

    Examples
    --------
    >>> bool(generator(1, "split icoAIS").random() == generator(1, "split icoAIS").random())
    True
    >>> bool(generator(1, "views", 0, 3).random() == generator(1, "views", 3, 0).random())
    False
    """
    return np.random.default_rng(_entropy(seed, purpose, numbers))


def integer(seed: int, purpose: str, *numbers: int) -> int:
    """Return a seed below 2**31 for a library that draws by itself: torch, elastix, scikit-learn."""
    return int(np.random.SeedSequence(_entropy(seed, purpose, numbers)).generate_state(1)[0] >> 1)


def number(seed: int, purpose: str, *numbers: int) -> float:
    """Return a number from 0 to 1 that no other purpose shares: a hash."""
    return float(generator(seed, purpose, *numbers).random())


def _entropy(seed: int, purpose: str, numbers: tuple[int, ...]) -> list[int]:
    return [*purpose.encode(), *numbers, seed]
