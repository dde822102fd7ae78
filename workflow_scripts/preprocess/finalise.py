"""Clip, crop and subtract: the images that everything later reads (paper section 3.2e, Appendix B)."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import write_json
from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, save_volume


@dataclass(frozen=True)
class Final:
    """The final images of a case, all on one grid: HU, HU, HU, boolean; and the box they were cut from."""

    ncct: Volume
    mirrored: Volume
    difference: Volume
    brain: Volume
    box: tuple[slice, ...]


def finalise(ncct: Volume, mirrored: Volume, brain: np.ndarray, clip_hu: tuple[float, float], margin: int) -> Final:
    """Clip both images to ``clip_hu``, subtract them and cut all to the brain's box plus ``margin`` voxels.

    Outside the brain the images have the lower limit. The difference is mirrored − NCCT, so an infarct that is darker
    than its counterpart is positive; it is 0 outside the brain and where the mirrored brain does not reach.
    """
    low, high = clip_hu
    box = bounding_box(brain, margin)
    inside = brain[box]
    own, other = (np.where(inside, np.clip(image.data[box], low, high), np.float32(low)) for image in (ncct, mirrored))
    both = inside & (mirrored.data[box] > low)
    corner = np.eye(4)
    corner[:3, 3] = [part.start for part in box]
    affine = ncct.affine @ corner
    return Final(
        ncct=Volume(own, affine),
        mirrored=Volume(other, affine),
        difference=Volume(np.where(both, other - own, np.float32(0)), affine),
        brain=Volume(inside, affine),
        box=box,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="stripped NCCT, HU")
    parser.add_argument("--mirrored", required=True, help="mirrored NCCT, HU")
    parser.add_argument("--brain", required=True, help="brain mask")
    parser.add_argument("--clip", type=float, nargs=2, required=True, metavar=("LOW", "HIGH"), help="HU")
    parser.add_argument("--margin", type=int, required=True, help="voxels around the brain")
    for name in ("ncct", "mirrored", "difference", "brain", "crop"):
        parser.add_argument(f"--out-{name}", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read stripped NCCT, mirrored NCCT and brain mask; write the final images and the box of the crop."""
    arguments = _parse(argv)
    ncct, mirrored = load_volume(arguments.ncct), load_volume(arguments.mirrored)
    brain = load_volume(arguments.brain, np.uint8)
    require_same_grid(ncct, mirrored, "the NCCT", "the mirrored NCCT")
    require_same_grid(ncct, brain, "the NCCT", "the brain mask")
    final = finalise(ncct, mirrored, brain.data > 0, tuple(arguments.clip), arguments.margin)
    save_volume(arguments.out_ncct, final.ncct)
    save_volume(arguments.out_mirrored, final.mirrored)
    save_volume(arguments.out_difference, final.difference)
    save_volume(arguments.out_brain, final.brain, np.uint8)
    crop = {
        "start_voxel": [part.start for part in final.box],
        "stop_voxel": [part.stop for part in final.box],
        "resampled_shape": list(ncct.data.shape),
        "resampled_affine_ras_mm": ncct.affine.tolist(),
    }
    write_json(arguments.out_crop, crop)


if __name__ == "__main__":
    run(main)
