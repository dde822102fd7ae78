"""Masks on the acquired grid, written with what their header cannot say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.acquired_grid import to_acquired
from workflow_scripts.common.acquisition import describe_slices, stack_of
from workflow_scripts.common.files import write_json
from workflow_scripts.common.volume import Volume, save_volume

UNEQUAL_GAPS = "Slice gaps differ, here is their mean: positions in the JSON beside."


def write_acquired(mask: Volume, conversion: Mapping[str, Any], path: Path, slices_path: Path) -> dict[str, Any]:
    """Write ``mask`` on the acquired grid; write and return what its header cannot say (`describe_slices`)."""
    acquired = to_acquired(mask, conversion)
    slices = describe_slices(stack_of(conversion), acquired.data)
    save_volume(path, acquired, np.uint8, "" if slices["equal_gaps"] else UNEQUAL_GAPS)
    write_json(slices_path, slices)
    return slices
