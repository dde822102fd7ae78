"""A head without its face, for pictures: the skin, and what lies in front of and below the brain, are blank."""

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume, resample

AIR_HU = -300.0
SKIN_MM = 10.0  # from the air inwards: skin, nose, lips and ears; bone begins at 5 to 8
BELOW_MM = 10.0  # from the brain to the plane in front of and below it, so that a mask may lack as much and show it
FORWARD_AND_DOWN = np.array([0.0, 1.0, -1.0]) / np.sqrt(2)  # RAS+


def without_face(head: Volume, brain_mask: Volume) -> Volume:
    """Blank the face in a head CT (HU, RAS+) and keep the brain mask and what lies up to 5 mm around it.

    Blank is the lowest value. The skin is found from the air outside, so that a brain mask which failed hides nothing
    of the brain that it lost but the part that lies 10 mm beyond its lower front.
    """
    mask = resample(brain_mask, head.data.shape, head.affine, order=0, background=0).data > 0
    if not mask.any():
        return head.with_data(np.full_like(head.data, head.data.min()))
    depth = ndimage.distance_transform_edt(_filled(head.data > AIR_HU), sampling=head.spacing)
    near = ndimage.distance_transform_edt(~mask, sampling=head.spacing) <= 5.0
    along = _along(head)
    face = along > along[mask].max() + BELOW_MM
    return head.with_data(np.where((depth > SKIN_MM) & ~face | near, head.data, head.data.min()))


def _along(head: Volume) -> np.ndarray:
    """Return how far forward and down each voxel lies, mm."""
    steps = FORWARD_AND_DOWN @ head.affine[:3, :3]
    x, y, z = (np.arange(size) * step for size, step in zip(head.data.shape, steps, strict=True))
    return (x[:, None, None] + y[:, None] + z).astype(np.float32)


def _filled(body: np.ndarray) -> np.ndarray:
    """Return the largest piece, its holes filled slice by slice, since the scan may cut it above and below."""
    labels, count = ndimage.label(body)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        body = labels == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(body[..., index]) for index in range(body.shape[2])], axis=2)
