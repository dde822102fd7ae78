"""What the networks of a model say of a scan, in memory and as a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESULT = "result.npz"


@dataclass(frozen=True)
class Result:
    """What the networks say of one scan, on the grid of its final images (x, y, z).

    Attributes
    ----------
    mask
        the vote, uint8
    members
        each network's mask, uint8
    probability
        mean of the networks' lesion probabilities, float32
    features
        `encoder_features` of the first network, float64 (features,)
    """

    mask: np.ndarray
    members: Sequence[np.ndarray]
    probability: np.ndarray
    features: np.ndarray

    def save(self, path: Path) -> None:
        """Write it as one compressed file of arrays (``.npz``)."""
        parts = {"mask": self.mask, "probability": self.probability, "features": self.features}
        np.savez_compressed(path, members=np.stack(self.members), **parts)

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in ("mask", "members", "probability", "features")})
