"""Put the ensemble's mask of a case back on the grid of the acquired scan."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume

log = logging.getLogger(__name__)


def to_acquired(mask: Volume, conversion: Mapping[str, Any]) -> Volume:
    """Return ``mask`` on the acquired grid, nearest neighbour, 0 outside the image that was segmented.

    Parameters
    ----------
    mask
        uint8, on the grid of the final images
    conversion
        content of ``ncct.json``: ``acquired_shape`` (column, row, slice) and ``acquired_affine`` (4×4, RAS+, mm;
        sheared for a tilted gantry)
    """
    shape = tuple(int(size) for size in conversion["acquired_shape"])
    return resample(mask, shape, np.asarray(conversion["acquired_affine"], float), order=0, background=0)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the mask and the record of the conversion, resample, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--mask", type=Path, required=True, help="mask on the grid of the final images")
    parser.add_argument("--conversion", type=Path, required=True, help="ncct.json of stage ingest")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    mask = load_volume(arguments.mask, np.uint8)
    acquired = to_acquired(mask, read_json(arguments.conversion))
    save_volume(arguments.out, acquired, np.uint8)
    volumes = [volume.data.sum() * volume.voxel_ml for volume in (mask, acquired)]
    log.info("%.2f mL on the final grid, %.2f mL on the acquired one", *volumes)


if __name__ == "__main__":
    run(main)
