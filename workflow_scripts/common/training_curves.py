"""What the curves of a pretraining tell, a row an epoch: those of the running one, or of a table."""

from collections.abc import Mapping
from typing import Any


def chance_loss(row: Mapping[str, Any]) -> float | None:
    """Return the loss (nats) of a student of DeSD that tells no view from another, ln K; None: the method is not DeSD.

    A training whose loss stays there has learned nothing, however much its teacher's first weights tell of an image.
    K prototypes: information + divergence from uniform + entropy of the teacher's output is ln K in every epoch.
    """
    parts = [row.get(f"teacher_{name}") for name in ("information", "kl_uniform", "entropy")]
    return None if any(part in (None, "") for part in parts) else sum(float(part) for part in parts)
