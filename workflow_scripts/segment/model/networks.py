"""The networks of an exported model, loaded once and run on scan after scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.segment.masks.agreement import mean_probability
from workflow_scripts.segment.masks.vote import vote
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.measures import encoder_features


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


class Model:
    """An exported model whose files have been checked.

    ``manifest`` and ``reference`` are the content of its JSON; ``most_outside_brain`` is the share of a mask that may
    lie outside the brain before it is flagged.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.manifest: dict[str, Any] = layout.check_model(folder)
        self.reference: dict[str, Any] = read_json(folder / layout.REFERENCE)
        whole = read_json(folder / layout.PREPROCESSING)
        settings = whole["segment"]
        self.most_outside_brain: float = whole["preprocess"]["quality"]["max_lesion_outside_brain"]
        self.majority = settings["vote"] == "majority"
        self.segmenters = [
            Segmenter(read_checkpoint(path), settings["step"], settings["mirroring"], device)
            for path in layout.checkpoints(folder, self.manifest)
        ]

    def __call__(self, images: Path) -> Result:
        """Run every network on the case whose final images lie in the folder ``images``."""
        first = self.segmenters[0]
        files = channel_files(images, first.channels)
        features = encoder_features(first, first.prepared(files)[0])
        masks, probabilities = zip(*(segmenter(files) for segmenter in self.segmenters), strict=True)
        return Result(
            mask=vote(masks if self.majority else probabilities),
            members=masks,
            probability=mean_probability(probabilities),
            features=features,
        )
