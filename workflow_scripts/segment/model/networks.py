"""The networks of an exported model, loaded once and run on scan after scan."""

from pathlib import Path

import torch

from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.nnunet.network import read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.segment.masks.agreement import mean_probability
from workflow_scripts.segment.masks.vote import vote
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.contents import PREPROCESSING
from workflow_scripts.segment.model.features import encoder_features
from workflow_scripts.segment.model.result import Result


class Model:
    """The networks of an exported model whose files have been checked."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        manifest = layout.check_model(folder)
        settings = read_json(folder / PREPROCESSING)["segment"]
        self.majority = settings["vote"] == "majority"
        self.segmenters = [
            Segmenter(read_checkpoint(path), settings["step"], settings["mirroring"], device)
            for path in layout.checkpoints(folder, manifest)
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
