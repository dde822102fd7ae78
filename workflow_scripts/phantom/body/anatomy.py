"""The anatomy that every phantom head is deformed from, in MNI space.

The MNI152 2009a T1 and tissue maps that nilearn ships end at the brain's surface. Grey matter, white matter and CSF are
taken from them; the inner table of the skull is the closed brain surface moved outwards, and skull, scalp, face and
neck are built around it (`workflow_scripts.phantom.body.face`). Surfaces are kept as signed distances (mm, positive
inside), which stay sharp when they are sampled on a fine grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.common.errors import InputError
from workflow_scripts.phantom.body import face

# Box in MNI coordinates (mm) that holds head and upper neck; even numbers, so that it fits both spacings.
LOWER_MM = np.array([-104.0, -144.0, -140.0])
UPPER_MM = np.array([104.0, 124.0, 104.0])
SURFACE_STEP_MM = 2.0
SUBARACHNOID_MM = 2.0
STEM_BOTTOM_MM = -72.0


@dataclass(frozen=True)
class Field:
    """Scalar fields of one grid: ``values`` maps a name to (x, y, z) float32; ``origin`` and ``step`` in MNI mm."""

    values: Mapping[str, np.ndarray]
    step: float
    origin: np.ndarray

    def sample(self, name: str, points: np.ndarray, background: float | None = None) -> np.ndarray:
        """Interpolate a field at MNI ``points`` (3, n); outside the box the nearest value, or ``background``."""
        index = (points - self.origin[:, None].astype(np.float32)) * np.float32(1 / self.step)
        mode, value = ("nearest", 0.0) if background is None else ("constant", background)
        return ndimage.map_coordinates(self.values[name], index, order=1, mode=mode, cval=value, prefilter=False)


@dataclass(frozen=True)
class Anatomy:
    """The undeformed head.

    ``tissue`` holds ``grey`` and ``white`` (fractions, 0 to 1). ``surfaces`` holds signed distances in mm, positive
    inside: ``brain`` (with ventricles and sulci), ``cranium`` (inner table of the skull), ``skin``; the ``thickness``
    of the skull in mm; and ``deep``, the HU of what lies between skull and skin.
    """

    tissue: Field
    surfaces: Field


def build_anatomy(tissue_step_mm: float) -> Anatomy:
    """Build the atlas with tissue maps of 1 or 2 mm; surfaces are always kept at 2 mm."""
    brain, grey, white = (_load(name) for name in ("t1", "gm", "wm"))
    step = 1 if tissue_step_mm < SURFACE_STEP_MM else 2
    tissue = {"grey": _place(grey / np.float32(255), step), "white": _place(white / np.float32(255), step)}
    mask = _place((brain > 0).astype(np.float32), 2) >= 0.5
    # The symmetric MNI152 brain is alike on both sides, distances to it too: one half is enough.
    middle = mask.shape[0] // 2
    right = _surfaces(mask[middle:], grid_points()[:, middle:])
    surfaces = {name: np.concatenate([values[:0:-1], values]) for name, values in right.items()}
    return Anatomy(Field(tissue, float(step), LOWER_MM), Field(surfaces, SURFACE_STEP_MM, LOWER_MM))


def grid_points(step: float = SURFACE_STEP_MM) -> np.ndarray:
    """MNI coordinates of the nodes of the box, shape (3, x, y, z), float32."""
    axes = [np.arange(low, high + step / 2, step, np.float32) for low, high in zip(LOWER_MM, UPPER_MM, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _load(name: str) -> np.ndarray:
    # Importing nilearn to find its folder would take longer than everything else here.
    package = find_spec("nilearn")
    if package is None or not package.submodule_search_locations:
        raise InputError("nilearn, whose wheel holds the MNI152 maps, is not installed.", "install requirements.txt.")
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    image = nib.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    origin = image.affine[:3, 3]
    assert np.array_equal(image.affine[:3, :3], np.eye(3)) and not (origin % 2).any(), image.affine
    # Only the part with brain in it, from even coordinates: a third of the volume.
    start = np.array([-76.0, -112.0, -72.0]) - origin
    stop = np.array([77.0, 81.0, 91.0]) - origin
    return np.asarray(image.dataobj)[tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))]


def _place(data: np.ndarray, step: int) -> np.ndarray:
    """Put a cropped 1 mm map into the box, halved with a 1-2-1 filter where ``step`` is 2."""
    if step == 2:
        for axis in range(3):
            data = ndimage.convolve1d(data, np.array([0.25, 0.5, 0.25], np.float32), axis=axis, mode="nearest")
        data = data[::2, ::2, ::2]
    start = ((np.array([-76.0, -112.0, -72.0]) - LOWER_MM) / step).astype(int)
    box = np.zeros(((UPPER_MM - LOWER_MM) / step + 1).astype(int), np.float32)
    stop = start + data.shape
    box[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]] = data
    # The maps end below the medulla: let its last slice go on as the cord.
    box[start[0] : stop[0], start[1] : stop[1], : start[2]] = data[:, :, :1]
    return box


def _surfaces(mask: np.ndarray, points: np.ndarray) -> dict[str, np.ndarray]:
    """Fields of the right half, from x = 0 on."""
    outside = _distance(~mask)
    # A skull follows the brain at its base and spans every cleft of it further up.
    vault = np.clip((points[2] + 22) / 16, 0, 1)
    cranium = (1 - vault) * _closed(outside, 9.0, SUBARACHNOID_MM) + vault * _closed(outside, 20.0, SUBARACHNOID_MM)
    # The petrous ridges stand between temporal lobes and cerebellum, where closing the surface left CSF.
    cranium = np.maximum(np.minimum(cranium, -face.petrous(points)), 1.5 - outside).astype(np.float32)
    thickness = face.skull_thickness(points)
    skin = face.skin(points, cranium + thickness)
    brain = np.minimum(_closed(outside, 4.0, 0.0), points[2] - STEM_BOTTOM_MM).astype(np.float32)
    deep = face.deep_tissue(points, -cranium - thickness)
    return {"brain": brain, "cranium": cranium, "thickness": thickness, "skin": skin, "deep": deep}


def _closed(outside: np.ndarray, radius_mm: float, added_mm: float) -> np.ndarray:
    """Signed distance to a surface after closing it with a ball and moving it outwards.

    ``outside`` is the distance to the original surface in mm, 0 inside it.
    """
    dilated = outside <= radius_mm + added_mm
    return np.where(dilated, _distance(dilated), radius_mm + added_mm - outside) - np.float32(radius_mm)


def _distance(mask: np.ndarray) -> np.ndarray:
    return (ndimage.distance_transform_edt(mask) * SURFACE_STEP_MM).astype(np.float32)
