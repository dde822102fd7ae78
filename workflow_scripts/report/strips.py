"""The rows of pictures on a case's quality page, from the scan to the segmentation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.report import slices
from workflow_scripts.report.style import OVERLAYS, REFERENCE

TILE_PIXELS, AXIAL_TILES = 240, 6
SCAN_MARGIN_MM = 18
BRAIN_COLOUR = "#FF3DCB"
HEAD_HU, BRAIN_HU, DIFFERENCE_HU = (-40, 120), (0, 80), 30
MRI_PERCENTILES = (1, 99.5)


@dataclass(frozen=True)
class Strip:
    """One row of pictures; ``legend`` pairs what is outlined with its colour."""

    title: str
    text: str
    picture: np.ndarray
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Images:
    """The images of a case, RAS+; all but the first two lie on the grid of ``ncct``."""

    unstripped: Volume
    brain_mask: Volume
    ncct: Volume
    mirrored: Volume
    difference: Volume
    brain: Volume
    mri: Mapping[str, Volume]
    lesion: Volume | None
    segmentations: Mapping[str, Volume]


def choose_views(brain: np.ndarray, lesion: np.ndarray | None) -> list[tuple[int, int]]:
    """Return (axis, index) of the slices to show; one axial slice is where the lesion is largest."""
    axial = slices.spread(brain, 2, AXIAL_TILES)
    if lesion is not None and lesion.any():
        largest = slices.largest_slice(lesion, 2)
        axial[int(np.abs(np.array(axial) - largest).argmin())] = largest
    return slices.views(axial, *(slices.spread(brain, axis, 1)[0] for axis in (1, 0)))


def make_strips(images: Images) -> list[Strip]:
    """Return the rows of the page, from the scan to the segmentation."""
    brain = images.brain.data > 0.5
    lesion = None if images.lesion is None else images.lesion.data > 0.5
    views = choose_views(brain, lesion)
    scan, mask = (around(volume, images.brain_mask.data > 0.5) for volume in (images.unstripped, images.brain_mask))
    on_scan = [(axis, _same_place(images.ncct, scan, axis, index)) for axis, index in views]
    outline = [(mask.data > 0.5, BRAIN_COLOUR)]
    strips = [
        Strip(
            "Scan and brain mask",
            f"Resampled NCCT, −{-HEAD_HU[0]} to {HEAD_HU[1]} HU.",
            _greys(scan.data, on_scan, HEAD_HU, outline),
            (("brain mask", BRAIN_COLOUR),),
        ),
        Strip(
            "NCCT as the networks see it",
            f"Skull-stripped, clipped and cropped; shown from {BRAIN_HU[0]} to {BRAIN_HU[1]} HU.",
            _greys(images.ncct.data, views, BRAIN_HU),
        ),
        Strip(
            "Mirrored image",
            "The other hemisphere laid over this one by way of the CT template; same window.",
            _greys(images.mirrored.data, views, BRAIN_HU),
        ),
        Strip(
            "Difference: mirrored − NCCT",
            f"Violet: darker than the other side, as an infarct is; orange: brighter. Strongest at {DIFFERENCE_HU} HU.",
            _tiles(images.difference.data, views, lambda cut: slices.diverging(cut, DIFFERENCE_HU)),
        ),
    ]
    for modality, volume in images.mri.items():
        window = tuple(np.percentile(volume.data[brain], MRI_PERCENTILES)) if brain.any() else (0, 1)
        strips.append(
            Strip(
                f"{modality.upper()} registered to the NCCT",
                "The outline is the brain mask of the NCCT: where it misses the brain, the registration is off.",
                _greys(volume.data, views, window, [(brain, BRAIN_COLOUR)]),
                (("brain mask of the NCCT", BRAIN_COLOUR),),
            )
        )
    marked = [("reference", lesion, REFERENCE)] if lesion is not None else []
    marked += [
        (arm, volume.data > 0.5, colour)
        for (arm, volume), colour in zip(images.segmentations.items(), cycle(OVERLAYS), strict=False)
    ]
    if marked:
        outlines = [(mask, colour) for _, mask, colour in marked]
        legend = tuple((name, colour) for name, _, colour in marked)
        strips.append(Strip("Lesion", "", _greys(images.ncct.data, views, BRAIN_HU, outlines), legend))
    return strips


def around(volume: Volume, mask: np.ndarray) -> Volume:
    """Cut an image to the box around a mask on its grid, with a margin that shows what lies beside the mask."""
    box = []
    for axis, spacing in enumerate(volume.spacing):
        first, last = slices.extent(mask, axis)
        margin = round(SCAN_MARGIN_MM / spacing)
        box.append(slice(max(first - margin, 0), last + margin + 1))
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [*(part.start for part in box), 1])[:3]
    return Volume(volume.data[tuple(box)], affine)


def _same_place(source: Volume, target: Volume, axis: int, index: int) -> int:
    """Return the index in ``target`` of the slice through the middle of a slice of ``source``."""
    middle = (np.array(source.data.shape) - 1) / 2
    middle[axis] = index
    world = source.affine @ [*middle, 1]
    place = (np.linalg.inv(target.affine) @ world)[axis]
    return int(np.clip(np.rint(place), 0, target.data.shape[axis] - 1))


def _greys(
    data: np.ndarray,
    views: Sequence[tuple[int, int]],
    window: tuple[float, float],
    outlines: Sequence[tuple[np.ndarray, str]] = (),
) -> np.ndarray:
    low, high = window
    return _tiles(data, views, lambda cut: slices.grey(cut, low, max(high, low + 1e-6)), outlines)


def _tiles(
    data: np.ndarray,
    views: Sequence[tuple[int, int]],
    paint: Callable[[np.ndarray], np.ndarray],
    outlines: Sequence[tuple[np.ndarray, str]] = (),
) -> np.ndarray:
    scale = -(-TILE_PIXELS // data.shape[0])
    tiles = []
    for axis, index in views:
        tile = slices.enlarge(paint(slices.plane(data, axis, index)), scale)
        for mask, colour in outlines:
            tile = slices.outlined(tile, slices.plane(mask, axis, index), colour, scale)
        tiles.append(tile)
    return slices.strip(tiles)
