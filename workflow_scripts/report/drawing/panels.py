"""The rows of pictures on a case's quality page, from the scan to the lesion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume, to_ras
from workflow_scripts.report.drawing import slices
from workflow_scripts.report.drawing.pictures import (
    Picture,
    Tile,
    View,
    around,
    contour,
    diverging,
    greys,
    picture,
    thumbnail,
)

AXIAL_TILES, MOSAIC_AXIAL, MOSAIC_OTHER = 6, 12, 3
HEAD_HU, BRAIN_HU, DIFFERENCE_HU = (-40, 120), (0, 80), 30
MRI_MEDIANS = 2.2  # white: this many times the median of the brain


@dataclass(frozen=True)
class Panel:
    """One section of the page; ``legend`` pairs the class of an outline with what is outlined.

    ``layout``: ``pair``, ``mosaic``, ``row``, ``compare`` (each ``rows`` tiles belong to one slice) or ``flicker``.
    """

    title: str
    text: str
    layout: str
    tiles: Sequence[Tile]
    legend: tuple[tuple[str, str], ...] = ()
    rows: int = 1

    @property
    def size(self) -> tuple[float, float]:
        """Width and height that hold every tile."""
        return max(tile.width for tile in self.tiles), max(tile.height for tile in self.tiles)


@dataclass(frozen=True)
class Images:
    """The images of a case, RAS+.

    ``brain_mask`` lies on the grid of ``unstripped``, what follows ``ncct`` on that of ``ncct``.
    """

    upright: Volume
    stack: Stack
    unstripped: Volume
    brain_mask: Volume
    ncct: Volume
    mirrored: Volume
    difference: Volume
    brain: np.ndarray
    mri: Mapping[str, Volume]
    lesion: np.ndarray | None


def thumbnails(images: Images) -> list[Tile]:
    """Return two small tiles: the brain mask on a sagittal slice of the head, and the lesion where it is largest."""
    scan, mask = _head(images)
    sagittal = (0, slices.spread(mask, 0, 1)[0])
    marked = images.brain if images.lesion is None or not images.lesion.any() else images.lesion
    axial = (2, slices.largest_slice(marked, 2))
    return [
        Tile(((thumbnail("head", scan, sagittal, HEAD_HU), ""),), (("brain", contour(mask, scan, sagittal)),)),
        Tile(((thumbnail("ncct", images.ncct, axial, BRAIN_HU), ""),), _lesion_outline(images, axial)),
    ]


def pictures_of(panels: Iterable[Panel]) -> list[Picture]:
    """Return every picture that the panels show, once."""
    return list({p.name: p for panel in panels for tile in panel.tiles for p, _ in tile.pictures}.values())


def make_panels(images: Images, acquisition: str) -> list[Panel]:
    """Return the sections of the page; ``acquisition`` says in words how the scan was acquired."""
    views = choose_views(images.brain, images.lesion)
    panels = [scan_panel(images, acquisition), mask_panel(images)]
    panels += [_flicker_panel(images, modality, views) for modality in images.mri]
    panels.append(_mirror_panel(images, views))
    if images.lesion is not None:
        panels.append(_lesion_panel(images, views))
    return panels


def choose_views(brain: np.ndarray, lesion: np.ndarray | None) -> list[View]:
    """Return (axis, index) of six axial, one coronal and one sagittal slice; one axial one shows most of the lesion."""
    axial = slices.spread(brain, 2, AXIAL_TILES)
    if lesion is not None and lesion.any():
        largest = slices.largest_slice(lesion, 2)
        axial[int(np.abs(np.array(axial) - largest).argmin())] = largest
    return [*((2, index) for index in sorted(axial)), *((axis, slices.spread(brain, axis, 1)[0]) for axis in (1, 0))]


def scan_panel(images: Images, acquisition: str) -> Panel:
    """Show the middle of the head as the scanner stacked its slices, and upright."""
    middle = images.upright.data.shape[0] // 2
    centre = (images.upright.affine @ [middle, *(np.array(images.upright.data.shape[1:]) / 2), 1])[:3]
    stacked = acquired_sagittal(images.stack, images.upright, centre)
    tiles = [
        Tile(((picture(f"scan-{name}", volume, (0, index), greys(HEAD_HU)), caption),))
        for name, volume, index, caption in (
            ("acquired", stacked, 0, "as acquired"),
            ("upright", images.upright, middle, "upright"),
        )
    ]
    text = (
        f"{acquisition} Left: the slices stacked as they were acquired, where a tilted gantry shears the head. "
        "Right: after conversion; skull and neck must stand as in life. Skin and face are left out "
        "unless report.show_faces is true."
    )
    return Panel("The scan, acquired and upright", text, "pair", tiles)


def acquired_sagittal(stack: Stack, upright: Volume, centre: np.ndarray) -> Volume:
    """Read the sagittal slice through ``centre`` (RAS, mm) as the scanner stacked its slices.

    Returns an image of one voxel in x, with the acquired spacings but no shear: what a program sees that knows no tilt.
    """
    gap = stack.normal * stack.heights[-1] / (len(stack.origins) - 1)
    steps = np.stack([stack.column_step, stack.row_step, gap], axis=1)
    sideways = int(np.abs(steps[0] / np.linalg.norm(steps, axis=0)).argmax())
    place = np.linalg.solve(stack.affine, [*centre, 1])[:3]
    index = np.indices([1 if axis == sideways else size for axis, size in enumerate(stack.shape)]).astype(float)
    index[sideways] = np.clip(round(place[sideways]), 0, stack.shape[sideways] - 1)
    column, row, number = index
    points = stack.origins[number.astype(int)] + column[..., None] * stack.column_step + row[..., None] * stack.row_step
    voxels = np.rint((points - upright.affine[:3, 3]) @ np.linalg.inv(upright.affine[:3, :3]).T).astype(int)
    inside = ((voxels >= 0) & (voxels < upright.data.shape)).all(axis=-1)
    values = np.full(points.shape[:-1], upright.data.min(), np.float32)
    values[inside] = upright.data[tuple(voxels[inside].T)]
    straight = np.eye(4)
    straight[:3, :3] = _straightened(steps)
    return to_ras(Volume(values, straight))


def mask_panel(images: Images) -> Panel:
    """Show the outline of the brain mask on the whole head."""
    scan, mask = _head(images)
    views = [(2, index) for index in slices.spread(mask, 2, MOSAIC_AXIAL)]
    views += [(axis, index) for axis in (1, 0) for index in slices.spread(mask, axis, MOSAIC_OTHER)]
    tiles = [
        Tile(((picture("head", scan, view, greys(HEAD_HU)), ""),), (("brain", contour(mask, scan, view)),))
        for view in views
    ]
    text = (
        "The outline must follow the inner table of the skull from the skull base to the vertex, leave out orbits and "
        f"neck, and keep dark infarcts. Window {_window(HEAD_HU)}."
    )
    return Panel("Brain mask", text, "mosaic", tiles, (("brain", "brain mask"),))


def _flicker_panel(images: Images, modality: str, views: Sequence[View]) -> Panel:
    volume, name = images.mri[modality], modality.upper()
    tiles = [
        Tile(
            (
                (picture("ncct", images.ncct, view, greys(BRAIN_HU)), "NCCT"),
                (picture(modality, volume, view, greys(_mri_window(volume, images.brain))), name),
            ),
            (("brain", contour(images.brain, images.ncct, view)),),
        )
        for view in views
    ]
    text = (
        "The two images alternate. Ventricles, sulci and the edge of the brain must stay where they are; what jumps is "
        "misregistered, mirrored or another patient's."
    )
    return Panel(f"{name} on the NCCT", text, "flicker", tiles, (("brain", "brain mask of the NCCT"),))


def _mirror_panel(images: Images, views: Sequence[View]) -> Panel:
    painted = (
        ("ncct", images.ncct, greys(BRAIN_HU), "NCCT"),
        ("mirrored", images.mirrored, greys(BRAIN_HU), "mirrored"),
        ("difference", images.difference, diverging(DIFFERENCE_HU), "difference"),
    )
    outlines = {view: _lesion_outline(images, view) for view in views}
    tiles = [
        Tile(((picture(name, volume, view, paint), caption),), outlines[view] if name == "difference" else ())
        for view in views
        for name, volume, paint, caption in painted
    ]
    text = (
        "The other hemisphere laid over each one, and mirrored − NCCT: violet is darker than the other side, as an "
        "infarct is; orange is brighter. "
        f"Window {_window(BRAIN_HU)}; full colour at {DIFFERENCE_HU} HU."
    )
    legend = (("lesion", "lesion mask"),) if images.lesion is not None else ()
    return Panel("The other hemisphere, and the difference", text, "compare", tiles, legend, rows=len(painted))


def _lesion_panel(images: Images, views: Sequence[View]) -> Panel:
    shown = [("ncct", images.ncct, BRAIN_HU, "NCCT")]
    for modality, volume in images.mri.items():
        shown.append((modality, volume, _mri_window(volume, images.brain), modality.upper()))
    tiles = [
        Tile(((picture(name, volume, view, greys(window)), caption),), _lesion_outline(images, view))
        for view in views
        for name, volume, window, caption in shown
    ]
    text = (
        "One axial slice is where the lesion is largest. An infarct is darker than its surroundings on NCCT and ADC, "
    )
    return Panel(
        "Lesion mask", text + "brighter on DWI.", "compare", tiles, (("lesion", "lesion mask"),), rows=len(shown)
    )


def segmentation_panel(ncct: Volume, brain: np.ndarray, masks: Mapping[str, np.ndarray]) -> Panel:
    """Show the outlines of named masks, all on the grid of ``ncct``, each in the class ``mask-{name}``."""
    marked = np.any(list(masks.values()), axis=0)
    views = choose_views(brain, marked)
    tiles = [
        Tile(
            ((picture("ncct", ncct, view, greys(BRAIN_HU)), ""),),
            tuple((f"mask-{name}", contour(mask, ncct, view)) for name, mask in masks.items()),
        )
        for view in views
    ]
    largest = "One axial slice is where the masks are largest. " if marked.any() else ""
    text = f"{largest}Window {_window(BRAIN_HU)}."
    return Panel("Segmentations", text, "row", tiles, tuple((f"mask-{name}", name) for name in masks))


def _head(images: Images) -> tuple[Volume, np.ndarray]:
    """Return the head around the brain, and the brain mask on its grid."""
    inside = images.brain_mask.data > 0.5
    return around(images.unstripped, inside), around(images.brain_mask, inside).data > 0.5


def _lesion_outline(images: Images, view: View) -> tuple[tuple[str, str], ...]:
    return () if images.lesion is None else (("lesion", contour(images.lesion, images.ncct, view)),)


def _straightened(steps: np.ndarray) -> np.ndarray:
    """Return the steps between voxels, shape (3, 3), each along the world axis that it runs closest to."""
    lengths = np.linalg.norm(steps, axis=0)
    straight = np.zeros((3, 3))
    for axis in np.argsort(-np.abs(steps / lengths).max(axis=0)):
        free = np.where(straight.any(axis=1), 0, np.abs(steps[:, axis]))
        world = int(free.argmax())
        straight[world, axis] = np.sign(steps[world, axis]) * lengths[axis]
    return straight


def _mri_window(volume: Volume, brain: np.ndarray) -> tuple[float, float]:
    return 0.0, MRI_MEDIANS * float(np.median(volume.data[brain])) if brain.any() else 1.0


def _window(window: tuple[int, int]) -> str:
    return f"{window[0]} to {window[1]} HU".replace("-", "−")
