"""All images on the training device in half precision, from which the views of a whole batch are cut at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.pretrain.views.crops import Crops, turned
from workflow_scripts.pretrain.views.scans import Scan

SHARE_OF_MEMORY = 0.5
WHOLE = (slice(None),) * 4


class ScansOnDevice:
    """Images and mirrored images as one line of half-precision voxels on a device.

    A cohort of 1 261 heads at 1 mm (140 × 170 × 140 voxels) takes about 8 GB, twice that with mirrored images.
    """

    def __init__(self, scans: Sequence[Scan], device: torch.device) -> None:
        arrays = [array for scan in scans for array in (scan.image, scan.mirrored)]
        lengths = [0 if array is None else int(np.prod(array.shape)) for array in arrays]
        self._voxels = torch.empty(sum(lengths), dtype=torch.float16, device=device)
        starts = np.cumsum([0, *lengths[:-1]])
        for array, start, length in zip(arrays, starts, lengths, strict=True):
            if array is not None:
                voxels = torch.from_numpy(np.ascontiguousarray(array[WHOLE], np.float32)).reshape(-1)
                self._voxels[start : start + length] = voxels.to(device, torch.float16)
        self._starts = starts.reshape(-1, 2)
        self._shapes = np.array([scan.image.shape[1:] for scan in scans])
        self._background = torch.from_numpy(np.stack([scan.background for scan in scans])).to(device)

    def read(self, crops: Crops, patch: Sequence[int]) -> Tensor:
        """Read crops, pad them with background and scale them in the plane to the patch.

        Returns
        -------
        Tensor
            shape (V, C, *patch), float32; the same views as those of `read_view`, but for the rounding of voxels
        """
        device = self._voxels.device
        first = self._starts[crops.scan, crops.mirrored.astype(int)]
        places = np.column_stack([crops.scan, first, crops.start, crops.size, self._shapes[crops.scan]])
        scan, first, *places = torch.from_numpy(places).to(device, non_blocking=True).split([1, 1, 3, 3, 3], dim=1)
        background = self._background[scan[:, 0]]
        start, size, shape = (place[:, :, None] for place in places)
        z = start[:, 0] + torch.arange(patch[0], device=device)
        if crops.angle.any():
            angle = torch.from_numpy(crops.angle).to(device, non_blocking=True)
            (low_y, high_y, share_y), (low_x, high_x, share_x) = _turned_neighbours(size[:, 1:, 0], patch[1:], angle)
        else:
            low_y, high_y, share_y = (part[:, :, None] for part in _neighbours(size[:, 1], patch[1]))
            low_x, high_x, share_x = (part[:, None, :] for part in _neighbours(size[:, 2], patch[2]))
        inside_z, z = _inside(z, shape[:, 0])
        voxels = shape.prod(1)
        channel = torch.arange(background.shape[1], device=device)

        def at(y: Tensor, x: Tensor) -> Tensor:
            inside_y, y = _inside(start[:, 1, :, None] + y, shape[:, 1, :, None])
            inside_x, x = _inside(start[:, 2, :, None] + x, shape[:, 2, :, None])
            plane = y * shape[:, 2, :, None] + x
            volume = (z * (shape[:, 1] * shape[:, 2]))[:, :, None, None] + plane[:, None]
            base = first + channel * voxels
            found = self._voxels[base[:, :, None, None, None] + volume[:, None]].float()
            inside = inside_z[:, None, :, None, None] & (inside_y & inside_x)[:, None, None]
            return torch.where(inside, found, background[:, :, None, None, None])

        share_y, share_x = share_y[:, None, None], share_x[:, None, None]
        upper = at(low_y, low_x).lerp(at(low_y, high_x), share_x)
        lower = at(high_y, low_x).lerp(at(high_y, high_x), share_x)
        return upper.lerp(lower, share_y)


def images_fit(scans: Sequence[Scan], free: float, bytes_each: int = 2) -> bool:
    """Whether the images, of ``bytes_each`` a voxel, take at most half of ``free`` bytes."""
    arrays = [array for scan in scans for array in (scan.image, scan.mirrored) if array is not None]
    return bytes_each * sum(int(np.prod(array.shape)) for array in arrays) <= SHARE_OF_MEMORY * free


def _neighbours(size: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two voxels of a span of ``size`` (V, 1) that each of ``length`` points lies between, and its share.

    Points and voxels are centred in equal parts of the span, as in ``interpolate(align_corners=False)``.
    """
    point = (torch.arange(length, device=size.device) + 0.5) * (size / length) - 0.5
    point = point.clamp_min(0)
    low = point.floor().long()
    return low, torch.minimum(low + 1, size - 1), point - low


def _turned_neighbours(size: Tensor, patch: Sequence[int], angle: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the same along y and along x, each (V, h, w), for spans (V, 2) that are turned, some maybe by nothing."""
    found = []
    for axis, places in enumerate(turned(size, patch, angle)):
        last = (size[:, axis] - 1)[:, None, None]
        places = torch.where(angle[:, None, None] == 0, places.clamp_min(0).minimum(last), places)
        low = places.floor().long()
        found.append((low, low + 1, (places - low).float()))
    return found


def _inside(index: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    return (index >= 0) & (index < limit), index.clamp_min(0).minimum(limit - 1)
