"""Whether values can be those of a head CT in HU."""

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume

AIR_HU = -200
TISSUE_HU = (-20, 120)
LEAST_SHARE = 0.01
WIDTH_MM = (100, 1000)


def require_head_ct(image: Volume, stripped: bool) -> None:
    """Raise `InputError` unless field of view and values can be those of a head CT in HU; array (x, y, z), RAS+.

    A whole head lies in air. A skull-stripped one need not, whatever its background; what is not background must then
    be tissue in the main. The limits are wide: they are to tell CT from MRI and from scaled copies, nothing finer.
    """
    data = image.data
    width, depth = np.array(data.shape[:2]) * image.spacing[:2]
    if not WIDTH_MM[0] < min(width, depth) <= max(width, depth) < WIDTH_MM[1]:
        raise InputError(
            f"The NCCT is {width:.3g} mm wide and {depth:.3g} mm deep, which is no scan of a head.",
            "give the image with its voxel size in mm.",
        )
    if data.min() == data.max():
        raise InputError(f"The NCCT has one value everywhere ({data.min():g}).", "export the image again.")
    if not stripped and (data < AIR_HU).mean() < LEAST_SHARE:
        raise InputError(
            f"The NCCT has no air: {data.min():g} is its lowest value, HU below {AIR_HU} are missing.",
            "give a CT in HU; if it came skull-stripped, write ncct in the column stripped of the case sheet.",
        )
    inside = data
    if stripped:
        values, counts = np.unique(np.rint(data).astype(np.int32), return_counts=True)
        inside = data[np.rint(data) != values[counts.argmax()]]
    low, high = TISSUE_HU
    share = ((inside >= low) & (inside <= high)).mean() if inside.size else 0.0
    spread = np.ptp(inside[(inside >= low) & (inside <= high)]) if share > 0 else 0.0
    if share < (0.5 if stripped else LEAST_SHARE) or spread < 5:
        raise InputError(
            f"The NCCT has hardly any soft tissue ({100 * share:.1f} % of its voxels between {low} and {high} HU).",
            "give a CT of the head in HU, not an MRI and not a rescaled copy.",
        )
