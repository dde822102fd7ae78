"""nnU-Net's sliding window on a CPU, whose sums need the memory of one row of windows and not of the image."""

from collections.abc import Iterator
from itertools import groupby

import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian


@torch.inference_mode()
def sliding_logits(predictor: nnUNetPredictor, image: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the logits of an image from bottom to top, in blocks of whole planes, each once nothing more adds to it.

    The same operations in the same order as in nnU-Net's ``predict_sliding_window_return_logits``, which sums in half
    precision, so the same values, bit by bit (tests/segment/test_segment_window.py).

    Parameters
    ----------
    predictor
        with network, on a CPU
    image
        normalised, float32 (channel, z, y, x)

    Yields
    ------
    start
        first plane of the block
    logits
        float16 (class, planes, y, x)
    """
    patch = tuple(predictor.configuration_manager.patch_size)
    heads = predictor.label_manager.num_segmentation_heads
    predictor.network.to(predictor.device).eval()
    padded, inside = pad_nd_image(image, patch, "constant", {"value": 0}, return_slicer=True)
    gaussian = compute_gaussian(patch, value_scaling_factor=10, device=predictor.device)
    windows = predictor._internal_get_sliding_window_slicers(padded.shape[1:])
    rows = [(start, list(row)) for start, row in groupby(windows, key=lambda window: window[1].start)]
    ends = [*(start for start, _ in rows[1:]), padded.shape[1]]
    sums = torch.zeros((heads, patch[0], *padded.shape[2:]), dtype=torch.half)
    weights = torch.zeros(sums.shape[1:], dtype=torch.half)
    for (start, row), end in zip(rows, ends, strict=True):
        for _, _, y, x in row:
            tile = padded[:, start : start + patch[0], y, x].clone(memory_format=torch.contiguous_format)[None]
            logits = predictor._internal_maybe_mirror_and_predict(tile)[0]
            logits *= gaussian
            sums[:, :, y, x] += logits
            weights[:, y, x] += gaussian
        done = end - start
        block = sums[:, :done] / weights[:done]
        if torch.isinf(block).any():
            raise RuntimeError("The network's outputs are beyond the range of half precision.")
        kept = slice(max(start, inside[1].start), min(end, inside[1].stop))
        if kept.start < kept.stop:
            yield (
                kept.start - inside[1].start,
                block[:, kept.start - start : kept.stop - start, inside[2], inside[3]],
            )
        for total in (sums, weights[None]):
            total.copy_(torch.cat((total[:, done:], torch.zeros_like(total[:, :done])), dim=1))
