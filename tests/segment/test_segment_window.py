"""The sliding window by blocks gives nnU-Net's own sums, bit by bit, and never holds those of the whole image."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch.utils._python_dispatch import TorchDispatchMode

from workflow_scripts.common.nnunet.window import sliding_logits

PATCH = (8, 12, 10)


def predictor(mirroring: bool = False, step: float = 0.5) -> nnUNetPredictor:
    """nnU-Net's predictor of a random network of two classes, on a CPU."""
    torch.manual_seed(0)
    made = nnUNetPredictor(
        step, use_mirroring=mirroring, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    made.network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.LeakyReLU(), torch.nn.Conv3d(4, 2, 3, padding=1)
    )
    made.configuration_manager = SimpleNamespace(patch_size=list(PATCH))
    made.label_manager = SimpleNamespace(num_segmentation_heads=2)
    made.allowed_mirroring_axes = (0, 1, 2)
    return made


def image(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "mirroring", "step"),
    [
        ((29, 17, 23), False, 0.5),
        ((29, 17, 23), True, 0.5),
        ((8, 12, 10), False, 0.5),  # one window
        ((5, 30, 7), True, 0.5),  # padded, below and above
        ((31, 12, 11), False, 1.0),  # windows side by side
        ((40, 9, 10), False, 0.3),
    ],
)
def test_blocks_are_nnunets_logits_bit_by_bit(shape, mirroring, step):
    made = predictor(mirroring, step)
    theirs = made.predict_sliding_window_return_logits(image(shape))
    starts, blocks = zip(*sliding_logits(made, image(shape)), strict=True)
    assert list(starts) == np.cumsum([0, *(block.shape[1] for block in blocks[:-1])]).tolist()
    ours = torch.cat(blocks, dim=1)
    assert ours.dtype == theirs.dtype == torch.half
    assert torch.equal(ours, theirs)


class Largest(TorchDispatchMode):
    """Notes the largest array of half precision, that of the sums, which any operation makes."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.half:
            self.values = max(self.values, result.numel())
        return result


def test_the_sums_do_not_grow_with_the_height_of_the_image():
    found = []
    for height in (20, 80):
        with Largest() as largest:
            for _ in sliding_logits(predictor(), image((height, 17, 23))):
                pass
        found.append(largest.values)
    assert found[0] == found[1] == 2 * PATCH[0] * 17 * 23


def test_outputs_beyond_half_precision_are_an_error():
    made = predictor()
    made.network = torch.nn.Sequential(made.network, torch.nn.Hardtanh(1e6, 2e6))
    with pytest.raises(RuntimeError, match="half precision"):
        list(sliding_logits(made, image((20, 12, 10))))
