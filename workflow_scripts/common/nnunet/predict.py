"""Segmentation of single cases with nnU-Net's predictor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from workflow_scripts.common.nnunet.network import build_network
from workflow_scripts.common.nnunet.plans import CONFIGURATION
from workflow_scripts.common.nnunet.window import sliding_logits


class Segmenter:
    """A finetuned model with its sliding window (paper 3.5): Gaussian weights, mirroring on the axes of training.

    Parameters
    ----------
    checkpoint
        content of ``checkpoint.pth``
    step
        stride of the window as a share of the patch
    mirroring
        average over the mirror images too
    """

    def __init__(self, checkpoint: Mapping[str, Any], step: float, mirroring: bool, device: torch.device) -> None:
        plans, self.dataset = checkpoint["init_args"]["plans"], checkpoint["init_args"]["dataset_json"]
        self.plans = PlansManager(plans)
        self.configuration = self.plans.get_configuration(CONFIGURATION)
        self.labels = self.plans.get_label_manager(self.dataset)
        channels = len(self.dataset["channel_names"])
        network = build_network(plans, channels, self.labels.num_segmentation_heads, deep_supervision=False)
        network.load_state_dict(checkpoint["network_weights"])
        self.predictor = nnUNetPredictor(
            tile_step_size=step,
            use_gaussian=True,
            use_mirroring=mirroring,
            perform_everything_on_device=device.type == "cuda",
            device=device,
            allow_tqdm=False,
        )
        self.predictor.manual_initialization(
            network,
            self.plans,
            self.configuration,
            [],  # weights that the predictor would load for each image again
            self.dataset,
            checkpoint["trainer_name"],
            checkpoint["inference_allowed_mirroring_axes"],
        )

    @property
    def channels(self) -> list[str]:
        """Images that the model wants, in order: ``ncct``, or ``ncct`` and ``difference``."""
        return list(self.dataset["channels"])

    def prepared(self, images: Sequence[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the channels of a case as the network wants them, float32 (channel, z, y, x), and their geometry."""
        data, _, properties = DefaultPreprocessor(verbose=False).run_case(
            [str(path) for path in images], None, self.plans, self.configuration, self.dataset
        )
        return data, properties

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the encoder's last feature maps, (B, features, z, y, x), of patches (B, channel, z, y, x)."""
        network = self.predictor.network.to(self.predictor.device).eval()
        return network.encoder(patches.to(self.predictor.device))[-1]

    def __call__(self, images: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
        """Segment one case from the files of its channels.

        Returns
        -------
        mask
            uint8 (x, y, z) on the grid of the first image, 1 in the lesion
        probability
            float32 (x, y, z), softmax of the lesion
        """
        data, properties = self.prepared(images)
        resampled = data.shape[1:] != properties["shape_after_cropping_and_before_resampling"]
        parts = self._whole if self.predictor.device.type == "cuda" or resampled else self._by_blocks
        mask, probability = parts(torch.from_numpy(data), properties)
        return mask.transpose(2, 1, 0).astype(np.uint8), probability.transpose(2, 1, 0).astype(np.float32)

    def _whole(self, image: torch.Tensor, properties: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Segment with all logits in memory: those of a GPU, where nnU-Net's autocast applies, or to be resampled."""
        logits = self.predictor.predict_sliding_window_return_logits(image).cpu()
        mask, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.float(),
            self.plans,
            self.configuration,
            self.labels,
            properties,
            return_probabilities=True,
            num_threads_torch=torch.get_num_threads(),
        )
        return mask, probabilities[1]

    def _by_blocks(self, image: torch.Tensor, properties: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Segment with the logits of one row of windows in memory."""
        shape, box = properties["shape_before_cropping"], properties["bbox_used_for_cropping"]
        mask, probability = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
        cropped = tuple(slice(*edges) for edges in box)
        for start, logits in sliding_logits(self.predictor, image):
            probabilities = self.labels.apply_inference_nonlin(logits)
            planes = slice(start, start + logits.shape[1])
            mask[cropped][planes] = self.labels.convert_probabilities_to_segmentation(probabilities)
            probability[cropped][planes] = probabilities[1]
        back = self.plans.transpose_backward
        return mask.transpose(back), probability.transpose(back)
