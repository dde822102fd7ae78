"""What lies outside the brain's surface: skull, scalp, face and neck as simple solids in MNI coordinates.

Every solid is a function that is positive inside and grows by about 1 a mm. ``points`` are MNI coordinates in mm,
shape (3, ...), of the right half. Left and right are alike here; a head's deformation makes them differ.
"""

import numpy as np
from scipy import ndimage

AIR, FAT, MUSCLE, VITREOUS, TRABECULAR, CORTICAL = -1000.0, -80.0, 50.0, 12.0, 350.0, 1100.0
SCALP_MM = 6.0


def ellipsoid(points: np.ndarray, centre: tuple[float, ...], axes: tuple[float, ...]) -> np.ndarray:
    """Solid ellipsoid."""
    x = points[0]
    squared = sum(((c - o) / a) ** 2 for c, o, a in zip((x, points[1], points[2]), centre, axes, strict=True))
    return (1 - np.sqrt(squared)) * np.float32(min(axes))


def capsule(points: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], radius: float) -> np.ndarray:
    """All points within ``radius`` of a line segment."""
    x = points[0]
    a, b = np.array(start, np.float32), np.array(end, np.float32)
    relative = [c - o for c, o in zip((x, points[1], points[2]), a, strict=True)]
    direction = b - a
    along = sum(r * d for r, d in zip(relative, direction, strict=True)) / np.float32(direction @ direction)
    along = np.clip(along, 0, 1)
    squared = sum((r - along * d) ** 2 for r, d in zip(relative, direction, strict=True))
    return radius - np.sqrt(squared)


def petrous(points: np.ndarray) -> np.ndarray:
    """The dense ridges of the temporal bones."""
    return capsule(points, (20, -20, -40), (62, -36, -40), 8.0)


def skull_thickness(points: np.ndarray) -> np.ndarray:
    """Thickness in mm: thick at forehead and occiput, thin at the temples and over the orbits."""
    x, y, z = points
    thick = 6.5 + 1.8 * np.exp(-(((y - 75) / 25) ** 2)) + 2.2 * np.exp(-(((y + 105) / 25) ** 2 + ((z + 10) / 35) ** 2))
    temple = np.exp(-(((x - 70) / 15) ** 2 + ((y - 5) / 35) ** 2 + ((z + 15) / 25) ** 2))
    base = 1 / (1 + np.exp((z + 25) / 5)) * (x < 60) * (y > -60)
    return (thick - 2.6 * temple - 2.0 * base).astype(np.float32)


def skin(points: np.ndarray, skull: np.ndarray) -> np.ndarray:
    """Signed distance to the skin, from that of the skull's outer table."""
    x, y, z = points
    visage = ellipsoid(points, (0, 34, -72), (64, 58, 88))
    cheek = ellipsoid(points, (0, 22, -105), (56, 62, 60))
    neck = np.minimum((1 - np.sqrt((x / 58) ** 2 + ((y + 26) / 62) ** 2)) * 58, -50 - z)
    nose = capsule(points, (0, 80, -32), (0, 104, -64), 8.0)
    ears = ellipsoid(points, (84, -26, -42), (7, 16, 28))
    body = skull + SCALP_MM
    # Muscle and fat fill the hollows of the skull, at the temples above all.
    body = np.maximum(body, ndimage.gaussian_filter(body, 4.0, mode=("mirror", "nearest", "nearest")))
    for solid, blend in ((visage, 6.0), (cheek, 6.0), (neck, 6.0), (nose, 4.0), (ears, 1.5)):
        body = _union(body, solid, blend)
    return body.astype(np.float32)


def deep_tissue(points: np.ndarray, outside_skull: np.ndarray) -> np.ndarray:
    """HU of what lies between the skull and the subcutaneous fat.

    ``outside_skull`` is the distance from the skull's outer table in mm, positive outside.
    """
    x, y, z = points
    hu = MUSCLE + 18 * np.sin(x / 5.1) * np.sin(y / 6.3 + 0.7) * np.sin(z / 7.7)
    fat = 12 * (np.sin(x / 9 + 1) * np.cos(y / 11) + np.sin(z / 13)) - 7
    hu = _paint(hu, fat, FAT, 3.0)
    eye = ellipsoid(points, (32, 58, -36), (12.5, 12.5, 12.5))
    orbit = capsule(points, (32, 60, -36), (18, 22, -36), 15.0) - np.maximum(0, 40 - y) * 0.25
    maxillary = ellipsoid(points, (29, 44, -68), (14, 17, 16))
    nasal = ellipsoid(points, (0, 50, -60), (13, 32, 20))
    ethmoid = ellipsoid(points, (0, 44, -36), (12, 24, 10))
    sphenoid = ellipsoid(points, (0, 14, -42), (13, 11, 10))
    mastoid = ellipsoid(points, (60, -42, -52), (11, 15, 17))
    zygoma = capsule(points, (60, 34, -50), (70, -8, -52), 5.0)
    cheekbone = capsule(points, (60, 34, -50), (42, 54, -52), 6.0)
    jaw = capsule(points, (52, 2, -60), (46, 4, -110), 6.5)
    body_of_jaw = capsule(points, (46, 4, -110), (12, 68, -118), 7.0)
    palate = np.minimum(ellipsoid(points, (0, 46, -84), (30, 38, 40)), 4 - np.abs(z + 84))
    teeth = np.minimum(np.abs(ellipsoid(points, (0, 46, -96), (30, 38, 60))) * -1 + 5, 11 - np.abs(z + 97))
    teeth = np.minimum(teeth, y - 22)
    pharynx = capsule(points, (0, 6, -76), (0, -2, -140), 8.0)
    for solid, shell in ((orbit, 2.0), (maxillary, 2.0), (nasal, 2.0), (ethmoid, 1.5), (sphenoid, 2.5)):
        hu = _paint(hu, solid + shell, 800.0)
    hu = _paint(hu, mastoid + 2.5, 700.0)
    for solid in (zygoma, cheekbone, jaw, body_of_jaw, palate):
        hu = _paint(_paint(hu, solid, CORTICAL), solid - 3.0, TRABECULAR)
    hu = _paint(hu, teeth, 1600.0)
    hu = _paint(hu, orbit, FAT + 10)
    hu = _paint(hu, capsule(points, (30, 48, -36), (16, 20, -36), 2.5), 35.0)
    hu = _paint(_paint(hu, eye, 45.0), eye - 1.2, VITREOUS)
    hu = _paint(hu, ellipsoid(points, (32, 67, -36), (4.5, 2.5, 4.5)), 80.0)
    hu = _paint(hu, maxillary, AIR)
    hu = _paint(hu, nasal, -350 + 450 * np.sin(x / 1.9) * np.cos(z / 5))
    hu = _paint(hu, np.minimum(ethmoid, 8 * np.abs(np.sin(y / 3.2)) - 2), -850.0)
    hu = _paint(hu, sphenoid, AIR)
    cells = np.sin(x / 2.1) * np.sin(y / 2.3) * np.sin(z / 2.2)
    hu = _paint(hu, mastoid, -250 + 700 * cells)
    hu = _paint(hu, pharynx, AIR)
    # Next to the vault there is scalp only: the solids must not show through it.
    scalp = (z > 0) | ((y < -55) & (z > -30))
    return np.where(scalp & (outside_skull < 12), MUSCLE, hu).astype(np.float32)


def _paint(hu: np.ndarray, solid: np.ndarray, value: np.ndarray | float, edge_mm: float = 2.0) -> np.ndarray:
    share = np.clip(solid / edge_mm + 0.5, 0, 1)
    return hu + share * (value - hu)


def _union(first: np.ndarray, second: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union of two solids with the edge between them rounded."""
    overlap = np.clip(0.5 + 0.5 * (first - second) / blend_mm, 0, 1)
    return second + overlap * (first - second) + blend_mm * overlap * (1 - overlap)
