"""What a scanner measures of a head: HU, diffusion-weighted signal, diffusion coefficient and masks, on any grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.body.anatomy import Field
from workflow_scripts.phantom.body.face import AIR, FAT
from workflow_scripts.phantom.body.subject import Head

# Corners of a tetrahedron: the mean over four points stands for the voxel, slice thickness included.
SUBSAMPLES = 0.25 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
COARSE_MM = 1.5
FAR_MM = -50.0
DIPLOE_HU, TABLE_HU = 500.0, 1350.0
CHUNK_VOXELS = 1_000_000


@dataclass(frozen=True)
class Patient:
    """A head and its infarcts (None: healthy)."""

    head: Head
    lesions: Field | None


@dataclass
class Place:
    """MNI ``points`` (3, n) in a patient; fields of the anatomy are sampled there when first asked for."""

    patient: Patient
    points: np.ndarray
    known: dict[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """Values (n,) of a field: of the anatomy, ``csf`` (1 − grey − white), or ``level``, ``drop`` of the lesions."""
        if name not in self.known:
            self.known[name] = self._sample(name)
        return self.known[name]

    def _sample(self, name: str) -> np.ndarray:
        anatomy, lesions = self.patient.head.anatomy, self.patient.lesions
        if name == "csf":
            return np.clip(1 - self["grey"] - self["white"], 0, 1)
        if name in ("level", "drop"):
            outside = FAR_MM if name == "level" else 0.0
            if lesions is None:
                return np.full(self.points.shape[1], outside, np.float32)
            return lesions.sample(name, self.points, outside)
        return (anatomy.tissue if name in anatomy.tissue.values else anatomy.surfaces).sample(name, self.points)


@dataclass(frozen=True)
class Measure:
    """What is measured inside the skin, a function from a `Place` to values (n,), and its value in the air."""

    inside: Callable[[Place], np.ndarray]
    air: float


def render(
    patient: Patient, measures: Mapping[str, Measure], shape: tuple[int, int, int], affine: np.ndarray
) -> dict[str, Volume]:
    """Measure on a grid with ``affine`` (voxel to world, RAS, mm); coarse voxels are means over four points."""
    slabs = max(1, CHUNK_VOXELS // (shape[1] * shape[2]))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for start in range(0, shape[0], slabs):
        block = (min(slabs, shape[0] - start), shape[1], shape[2])
        for name, values in _render_block(patient, measures, block, start, affine).items():
            parts[name].append(values.reshape(block))
    return {name: Volume(np.concatenate(values), np.asarray(affine, float)) for name, values in parts.items()}


def _render_block(
    patient: Patient, measures: Mapping[str, Measure], block: tuple[int, int, int], start: int, affine: np.ndarray
) -> dict[str, np.ndarray]:
    index = np.indices(block, np.float32).reshape(3, -1)
    index[0] += start
    centres = patient.head.to_mni(affine, index)
    reach = float(np.linalg.norm(affine[:3, :3], axis=0).max())
    skin = patient.head.anatomy.surfaces.sample("skin", centres) + np.float32(patient.head.shape.scalp_mm)
    near = skin > -reach - 2
    centres = centres[:, near]
    # Within a voxel the warp is as good as constant, so the points around its centre share it.
    offsets = SUBSAMPLES if reach > COARSE_MM else np.zeros((1, 3), np.float32)
    steps = (patient.head.affine @ affine)[:3, :3].astype(np.float32)
    values = {name: np.zeros(centres.shape[1], np.float32) for name in measures}
    for offset in offsets:
        place = Place(patient, centres + (steps @ offset)[:, None])
        for name, measure in measures.items():
            values[name] += measure.inside(place) / np.float32(len(offsets))
    whole = {name: np.full(index.shape[1], measure.air, np.float32) for name, measure in measures.items()}
    for name in measures:
        whole[name][near] = values[name]
    return whole


def ct() -> Measure:
    """HU without noise and without anything but the patient."""
    return Measure(_hu, AIR)


def dwi() -> Measure:
    """Diffusion-weighted signal (b = 1000), about 300 in the brain, with a faint scalp."""
    return Measure(lambda place: _mri(place, grey=330.0, white=280.0, csf=60.0, infarct=720.0, scalp=45.0), 0.0)


def adc() -> Measure:
    """Apparent diffusion coefficient in 1e-6 mm²/s; meaningless outside the brain."""
    return Measure(lambda place: _mri(place, grey=840.0, white=740.0, csf=2900.0, infarct=430.0, scalp=150.0), 0.0)


def infarct(shift_mm: float = 0.0) -> Measure:
    """1 in infarcted parenchyma, else 0; the infarct's surface is moved outwards by ``shift_mm``."""
    shift = np.float32(shift_mm)
    return Measure(lambda place: ((place["level"] + shift > 0) & (place["csf"] < 0.5)).astype(np.float32), 0.0)


def brain() -> Measure:
    """Signed distance in mm to the surface of the brain, positive inside."""
    return Measure(lambda place: place["brain"], FAR_MM)


def ct_noise(shape: tuple[int, int, int], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise in HU: about 3 in a voxel of 3×3×5 mm, more in smaller ones, a little correlated in the slice."""
    sigma = min(2.8 * (45.0 / float(np.prod(spacing))) ** 0.35, 9.0)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (0.5, 0.5, 0.0))
    return noise * np.float32(sigma / noise.std())


def _hu(place: Place) -> np.ndarray:
    shape = place.patient.head.shape
    cranium, thickness = place["cranium"], place["thickness"] * np.float32(shape.skull)
    skin = place["skin"] + np.float32(shape.scalp_mm)
    hu = np.where(skin < 2, np.float32(30), np.where(skin < 4.5, np.float32(FAT), place["deep"]))
    hu = _mix(hu, _bone(-cranium, thickness), _step(cranium + thickness))
    hu = _mix(hu, _soft_hu(place), _step(cranium))
    return _mix(np.float32(AIR), hu, _step(skin))


def _soft_hu(place: Place) -> np.ndarray:
    shape = place.patient.head.shape
    hu = shape.grey_hu * place["grey"] + shape.white_hu * place["white"] + shape.csf_hu * place["csf"]
    # Falx: dura between the hemispheres; and a trace of beam hardening below the bone.
    hu += 35 * place["csf"] * np.exp(-((place.points[0] / 1.2) ** 2)) * (place.points[2] > 18)
    hu += 2.5 * np.exp(-np.maximum(place["cranium"], 0) / 6)
    return hu - place["drop"] * (1 - place["csf"])


def _bone(depth: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """HU inside the skull: diploë between two tables where the bone is thick enough."""
    rim = np.minimum(depth, thickness - depth)
    return TABLE_HU + (DIPLOE_HU - TABLE_HU) * _step(rim - 1.8) * _step(thickness - 4.5)


def _mri(place: Place, grey: float, white: float, csf: float, infarct: float, scalp: float) -> np.ndarray:
    signal = grey * place["grey"] + white * place["white"] + csf * place["csf"]
    signal = _mix(signal, np.float32(infarct), _step(place["level"]) * (1 - place["csf"]))
    thickness = place["thickness"] * np.float32(place.patient.head.shape.skull)
    outer = _step(-place["cranium"] - thickness) * _step(place["skin"])
    return signal * _step(place["cranium"]) + scalp * outer


def _step(distance: np.ndarray) -> np.ndarray:
    """0 outside to 1 inside over 1 mm."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (first + share * (second - first)).astype(np.float32)
