"""Bring a lesion mask to the grid of the ingested NCCT, or hold it to the grid of the MRI it is drawn on."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.dicom.source import locate
from workflow_scripts.common.files import read_json
from workflow_scripts.common.volume import load_volume, require_same_grid, save_volume, to_ras
from workflow_scripts.ingest.image.acquired import binary, follow, require_in_head


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--lesion", type=Path, required=True, help="mask as given, NIfTI")
    parser.add_argument("--reference", type=Path, required=True, help="ingested NCCT, or the MRI the mask is drawn on")
    parser.add_argument("--record", type=Path, help="ncct.json, for a mask drawn on the NCCT")
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[], help="labels that are lesion; default: the only one"
    )
    parser.add_argument("--out", type=Path, required=True, help="mask to write, 0 and 1")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the mask on the grid of the scan."""
    arguments = _parse(argv)
    mask = binary(load_volume(locate(arguments.lesion, "lesion mask", "lesion"), given=True), arguments.labels)
    reference = load_volume(arguments.reference)
    if arguments.record:
        record = read_json(arguments.record)
        result = follow(mask, stack_of(record), reference, record)
        require_in_head(result, reference)
    else:
        result = to_ras(mask)
        require_same_grid(reference, result, "the MRI", "the lesion mask")
    save_volume(arguments.out, result, np.uint8)


if __name__ == "__main__":
    run(main, reads_headers=True)
