"""The series of a DICOM folder: images that belong together.

Identifiers are hints, since anonymising tools and archives drop, share and invent them; geometry decides.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.dicom.contents import without_image
from workflow_scripts.common.dicom.files import DAMAGE, opened, quiet_pydicom, read_dataset
from workflow_scripts.common.dicom.headers import MODALITIES, Folder, Image
from workflow_scripts.common.errors import InputError

SAME_PLANE = 0.01  # difference of direction cosines between the images of one series, 0.6 degrees


def find_series(found: Folder, modality: str, min_slices: int) -> list[list[Image]]:
    """Group images into series, sorted by number; copies of an image are dropped.

    ``modality`` is the wanted DICOM code. What belongs together shares identifiers, size and reconstruction; images
    whose identifiers leave them in groups of fewer than ``min_slices`` are put together without these. Raises
    `InputError` when there is no image, none of that modality, or the images are of several patients.
    """
    images = found.images
    if not images:
        raise without_image(found.others)
    wanted = [image for image in images if image.modality == modality]
    if not wanted:
        others = sorted({MODALITIES.get(image.modality, "unknown") for image in images})
        raise InputError(
            f"The DICOM folder holds {', '.join(others)} images, no {modality}.",
            f"name a folder with the {modality} series.",
        )
    if (patients := _patients(images)) > 1:
        raise InputError(
            f"The DICOM folder holds images of {patients} patients.",
            "give a folder with the images of one patient.",
        )
    groups: dict[tuple, list[Image]] = defaultdict(list)
    for image in sorted(images, key=lambda one: (one.path, one.frame or 0)):
        groups[_kind(image)].append(image)
    for identifiers in (1, 2):
        groups = _pooled(groups, identifiers, min_slices)
    planes = [without_copies(plane) for group in groups.values() for plane in _by_plane(group)]
    series = [part for plane in planes for part in _by_acquisition(plane)]
    return sorted(series, key=lambda one: (one[0].number is None, one[0].number or 0, -len(one), one[0].path.name))


def _patients(images: Sequence[Image]) -> int:
    """Count patients: by identifier, and by name where an image has no identifier."""
    identifiers = {image.patient for image in images if image.patient}
    known = {image.name for image in images if image.patient}
    return len(identifiers) + len({image.name for image in images if not image.patient} - known - {""})


def _kind(image: Image) -> tuple:
    identifiers = (image.series, image.number)
    return (*identifiers, image.modality, image.size, image.scout, image.kernel, image.contrast, image.computed)


def _pooled(groups: dict[tuple, list[Image]], identifiers: int, enough: int) -> dict[tuple, list[Image]]:
    """Put groups that are too small together where they differ in nothing but the first entries of their key."""
    pools: dict[tuple, list[tuple]] = defaultdict(list)
    for key, members in groups.items():
        if len(members) < enough:
            pools[key[identifiers:]].append(key)
    pooled = dict(groups)
    for keys in pools.values():
        members = [image for key in keys for image in groups[key]]
        if len(keys) > 1 and len(members) >= enough:
            for key in keys:
                del pooled[key]
            pooled[keys[0]] = members
    return pooled


def _by_acquisition(images: list[Image]) -> list[list[Image]]:
    """Part the images of a scan that was repeated under one series by AcquisitionNumber, where that does it."""
    parts: dict[int | None, list[Image]] = defaultdict(list)
    for image in images:
        parts[image.acquisition].append(image)
    repeats = _repeats(images)
    return list(parts.values()) if repeats and not any(map(_repeats, parts.values())) else [images]


def _repeats(images: Sequence[Image]) -> bool:
    places = [tuple(image.position.round(2)) for image in images if image.position is not None]
    return len(set(places)) < len(places)


def _by_plane(images: Sequence[Image]) -> list[list[Image]]:
    """Part images by the directions of their rows and columns; those without stay together."""
    planes: list[list[Image]] = []
    for image in images:
        for members in planes:
            if _same_directions(image.orientation, members[0].orientation):
                members.append(image)
                break
        else:
            planes.append([image])
    return planes


def _same_directions(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    if first is None or second is None:
        return first is second
    return bool(np.abs(first - second).max() < SAME_PLANE)


def without_copies(images: Sequence[Image]) -> list[Image]:
    """Drop images that lie where another lies and have the same pixels, such as those that were sent twice."""
    kept: dict[tuple, list[Image]] = defaultdict(list)
    for image in images:
        place = () if image.position is None else tuple(image.position.round(2))
        if not any(_same(image, other) for other in kept[place] if place):
            kept[place].append(image)
    chosen = {id(image) for members in kept.values() for image in members}
    return [image for image in images if id(image) in chosen]


def _same(first: Image, second: Image) -> bool:
    if first.frame is not None or second.frame is not None or first.fault or second.fault:
        return False
    return _pixels(first.path) == _pixels(second.path)


def _pixels(path: Path) -> bytes:
    try:
        with quiet_pydicom(), opened(path) as file:
            return read_dataset(file).PixelData
    except DAMAGE:
        return str(path).encode()
