"""Grids of real-size series and lesions on them: what the way back is measured on."""

import numpy as np
from scipy import ndimage

from workflow_scripts.common.acquired_grid import to_acquired
from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.stack import Stack, upright_grid
from workflow_scripts.common.volume import Volume, to_ras
from workflow_scripts.ingest.image.acquired import follow
from workflow_scripts.preprocess.lesion import lesion_on_grid
from workflow_scripts.preprocess.voxels.grids import isotropic_grid

SHAPE, PIXEL_MM, SLICE_MM = (512, 512, 32), 0.449, 5.0
ROUGHNESS = 0.15  # of the radius


class Series:
    """A series of 512 × 512 × 32 voxels of 0.449 × 0.449 × 5 mm, its upright grid and the 1 mm grid of the study."""

    def __init__(self, tilt_degrees: float):
        tilt = np.radians(tilt_degrees)
        affine = np.eye(4)
        affine[:3, 0] = [-PIXEL_MM, 0, 0]
        affine[:3, 1] = [0, -PIXEL_MM * np.cos(tilt), -PIXEL_MM * np.sin(tilt)]
        affine[:3, 2] = [0, 0, SLICE_MM]
        affine[:3, 3] = [1.3, -7.7, 3.1] - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
        self.affine = affine
        self.stack = Stack.of_grid(SHAPE, affine)
        shape, upright = upright_grid(self.stack)
        self.ncct = to_ras(Volume(np.zeros(shape, np.int8), upright))
        shape, isotropic = isotropic_grid(self.ncct, 1.0)
        self.final = Volume(np.zeros(shape, np.int8), isotropic)

    def forward(self, mask: Volume) -> Volume:
        """Bring a mask from the acquired slices to the grid of the final images, as the workflow does."""
        return lesion_on_grid(follow(mask, self.stack, self.ncct), self.final, np.eye(4))

    def back(self, mask: Volume) -> Volume:
        """Bring a mask from the final grid to the acquired slices."""
        return to_acquired(mask, describe(self.stack))


def rough_lesion(grid: Volume, millilitres: float, seed: int) -> Volume:
    """Draw a ball of about this volume with an uneven surface, off the middle of the head (uint8)."""
    radius = (millilitres * 750 / np.pi) ** (1 / 3)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((64, 64, 64)), 4)
    centre = np.array([20.0, 10, 5])
    middle = (np.linalg.inv(grid.affine) @ [*centre, 1])[:3]
    reach = 2 * radius / grid.spacing
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach), grid.data.shape).astype(int)
    voxels = np.indices(high - low).reshape(3, -1) + low[:, None]
    from_centre = grid.affine[:3, :3] @ voxels + grid.affine[:3, 3:] - centre[:, None]
    bumps = ndimage.map_coordinates(noise / noise.std(), from_centre / radius * 12 + 32, order=1, mode="nearest")
    inside = np.linalg.norm(from_centre, axis=0) < radius * (1 + ROUGHNESS * bumps)
    data = np.zeros(grid.data.shape, np.uint8)
    data[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))] = inside.reshape(high - low)
    return grid.with_data(data)
