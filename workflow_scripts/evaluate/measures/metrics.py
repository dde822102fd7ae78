"""Agreement of two binary masks: overlap, surface distance, volume (paper 3.6).

What each function, and `dice` of common/masks.py, returns where a mask is empty is part of its definition:

| reference | prediction | Dice | HD95 | HD95, penalised | volume difference |
|-----------|------------|------|------|-----------------|-------------------|
| lesion    | lesion     | 0–1  | mm   | HD95            | mL                |
| lesion    | empty      | 0    | NaN  | image diagonal  | reference volume  |
| empty     | lesion     | 0    | NaN  | image diagonal  | predicted volume  |
| empty     | empty      | 1    | NaN  | 0               | 0                 |

HD95 is undefined without two surfaces. Leaving such cases out of a mean makes a method look better the more lesions
it misses, so summaries count them, and the penalised distance puts the longest distance possible in their place.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from workflow_scripts.common.volume import Volume

FACES = ndimage.generate_binary_structure(3, 1)
FACES_EDGES_CORNERS = ndimage.generate_binary_structure(3, 3)
VOLUME_TOLERANCE = 1e-6


def hd95_mm(reference: Volume, prediction: Volume) -> float:
    """Return the 95th percentile Hausdorff distance in mm; NaN when a mask is empty.

    The surface of a mask is the set of its voxels that have a face neighbour outside the mask or outside the image.
    For each voxel of one surface the distance to the nearest voxel of the other is taken between voxel centres in
    world coordinates; of the 95th percentiles (linear interpolation) of the two directions the larger one is returned.

    Example
    -------
    >>> near, far = np.zeros((2, 9, 9, 9), bool)
    >>> near[2, 4, 4] = far[7, 4, 4] = True
    >>> hd95_mm(Volume(near, np.diag([2.0, 1, 1, 1])), Volume(far, np.diag([2.0, 1, 1, 1])))
    10.0
    """
    surfaces = [_surface_points(reference), _surface_points(prediction)]
    if not all(len(points) for points in surfaces):
        return float("nan")
    first, second = surfaces
    directed = (KDTree(second).query(first)[0], KDTree(first).query(second)[0])
    return float(max(np.percentile(distances, 95) for distances in directed))


def hd95_penalised_mm(reference: Volume, prediction: Volume, hd95: float) -> float:
    """Return ``hd95``, or what stands in its place: the image diagonal for one empty mask, 0 for two.

    Example
    -------
    >>> lesion, empty = (Volume(np.full((4, 5, 1), value), np.eye(4)) for value in (True, False))
    >>> hd95_penalised_mm(lesion, empty, float("nan")), hd95_penalised_mm(empty, empty, float("nan"))
    (5.0, 0.0)
    """
    if not np.isnan(hd95):
        return hd95
    return 0.0 if not reference.data.any() and not prediction.data.any() else diagonal_mm(reference)


def diagonal_mm(volume: Volume) -> float:
    """Return the longest distance between two voxel centres of an image, mm.

    Example
    -------
    >>> diagonal_mm(Volume(np.zeros((4, 5, 1)), np.eye(4)))
    5.0
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(volume.data.shape) - 1)
    world = corners @ volume.affine[:3, :3].T
    return float(np.linalg.norm(world[:, None] - world[None], axis=-1).max())


def volume_ml(mask: Volume) -> float:
    """Return the volume of a mask in mL.

    Example
    -------
    >>> volume_ml(Volume(np.ones((10, 10, 10), bool), np.diag([2.0, 1.0, 1.0, 1.0])))
    2.0
    """
    return int(mask.data.sum()) * mask.voxel_ml


def without_small_components(mask: Volume, limit_ml: float) -> Volume:
    """Return the mask without its 26-connected components of ``limit_ml`` or less.

    Example
    -------
    >>> mask = np.zeros((20, 20, 20), bool)
    >>> mask[:4, :4, :4] = mask[6:18, 6:18, 6:18] = True  # 0.064 mL and 1.728 mL
    >>> volume_ml(without_small_components(Volume(mask, np.eye(4)), 1.0))
    1.728
    """
    labels, _ = ndimage.label(mask.data, structure=FACES_EDGES_CORNERS)
    volumes = np.bincount(labels.ravel()) * mask.voxel_ml
    kept = volumes > limit_ml * (1 + VOLUME_TOLERANCE)
    kept[0] = False
    return mask.with_data(kept[labels])


def _surface_points(mask: Volume) -> np.ndarray:
    """Return the world coordinates (n, 3) in mm of a mask's surface voxels."""
    box = ndimage.find_objects(mask.data.astype(np.uint8))
    if not box:
        return np.empty((0, 3))
    inside = mask.data[box[0]]
    surface = inside & ~ndimage.binary_erosion(inside, FACES)
    voxels = np.argwhere(surface) + [axis.start for axis in box[0]]
    return voxels @ mask.affine[:3, :3].T + mask.affine[:3, 3]
