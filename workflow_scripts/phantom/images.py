"""What a scanner measures of a head: HU, diffusion-weighted signal, diffusion coefficient and masks, on any grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.anatomy import Field
from workflow_scripts.phantom.face import AIR, FAT
from workflow_scripts.phantom.subject import Head

# Corners of a tetrahedron: the mean over four points stands for the voxel, slice thickness included.
SUBSAMPLES = 0.25 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
COARSE_MM = 1.5
DIPLOE_HU, TABLE_HU = 500.0, 1350.0
CHUNK_VOXELS = 2_000_000

Measure = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Patient:
    """A head and its infarcts (None: healthy)."""

    head: Head
    lesions: Field | None


def render(patient: Patient, measure: Measure, shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """Evaluate ``measure`` (MNI points (3, n) to values (n,)) on a grid; coarse voxels are means of four points."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    offsets = SUBSAMPLES if spacing.max() > COARSE_MM else np.zeros((1, 3), np.float32)
    rows = max(1, CHUNK_VOXELS // (shape[1] * shape[2]))
    parts = []
    for start in range(0, shape[0], rows):
        block = (min(rows, shape[0] - start), shape[1], shape[2])
        index = np.indices(block, np.float32).reshape(3, -1)
        index[0] += start
        values = [measure(patient.head.to_mni(affine, index + offset[:, None])) for offset in offsets]
        parts.append(np.mean(values, axis=0, dtype=np.float32).reshape(block))
    return Volume(np.concatenate(parts), np.asarray(affine, float))


def ct(patient: Patient) -> Measure:
    """HU without noise and without anything but the patient."""
    head, shape = patient.head, patient.head.shape
    surfaces = head.anatomy.surfaces

    def measure(points: np.ndarray) -> np.ndarray:
        skin = surfaces.sample("skin", points) + np.float32(shape.scalp_mm)
        hu = np.full(skin.shape, AIR, np.float32)
        inside = skin > -1.0
        points, skin = points[:, inside], skin[inside]
        cranium = surfaces.sample("cranium", points)
        thickness = surfaces.sample("thickness", points) * np.float32(shape.skull)
        value = np.where(skin < 2, 30, np.where(skin < 4.5, FAT, surfaces.sample("deep", points)))
        value = _mix(value, _bone(-cranium, thickness), _step(cranium + thickness))
        value[cranium > -0.5] = _mix(
            value[cranium > -0.5],
            _soft_hu(patient, points[:, cranium > -0.5], cranium[cranium > -0.5]),
            _step(cranium[cranium > -0.5]),
        )
        hu[inside] = _mix(np.float32(AIR), value, _step(skin))
        return hu

    return measure


def _soft_hu(patient: Patient, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    shape = patient.head.shape
    grey, white, csf = fractions(patient, points)
    value = shape.grey_hu * grey + shape.white_hu * white + shape.csf_hu * csf
    # Falx: dura between the hemispheres; and a trace of beam hardening below the bone.
    falx = np.exp(-((points[0] / 1.2) ** 2)) * csf * (points[2] > 18)
    value += 35 * falx + 2.5 * np.exp(-np.maximum(depth, 0) / 6)
    if patient.lesions is not None:
        value -= patient.lesions.sample("drop", points, 0.0) * (grey + white)
    return value


def _bone(depth: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """HU inside the skull: diploë between two tables where the bone is thick enough."""
    rim = np.minimum(depth, thickness - depth)
    return TABLE_HU + (DIPLOE_HU - TABLE_HU) * _step(rim - 1.8) * _step(thickness - 4.5)


def fractions(patient: Patient, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of grey matter, white matter and CSF at MNI points; they add up to 1."""
    tissue = patient.head.anatomy.tissue
    grey, white = tissue.sample("grey", points), tissue.sample("white", points)
    return grey, white, np.clip(1 - grey - white, 0, 1)


def dwi(patient: Patient) -> Measure:
    """Diffusion-weighted signal (b = 1000), about 300 in the brain, with faint scalp and eyes."""
    return _mri(patient, grey=330.0, white=280.0, csf=60.0, infarct=720.0, scalp=45.0)


def adc(patient: Patient) -> Measure:
    """Apparent diffusion coefficient in 1e-6 mm²/s; meaningless outside the brain."""
    return _mri(patient, grey=840.0, white=740.0, csf=2900.0, infarct=430.0, scalp=150.0)


def _mri(patient: Patient, grey: float, white: float, csf: float, infarct: float, scalp: float) -> Measure:
    surfaces = patient.head.anatomy.surfaces
    bone = patient.head.shape.skull

    def measure(points: np.ndarray) -> np.ndarray:
        shares = fractions(patient, points)
        value = grey * shares[0] + white * shares[1] + csf * shares[2]
        if patient.lesions is not None:
            inside = _step(patient.lesions.sample("level", points, -50.0)) * (shares[0] + shares[1])
            value = _mix(value, np.float32(infarct), inside)
        cranium, skin = surfaces.sample("cranium", points), surfaces.sample("skin", points)
        shell = _step(-cranium - surfaces.sample("thickness", points) * np.float32(bone)) * _step(skin)
        return value * _step(cranium) + scalp * shell

    return measure


def lesion_share(patient: Patient, shift_mm: float = 0.0) -> Measure:
    """1 in infarcted parenchyma, else 0; the infarct's surface is moved outwards by ``shift_mm``."""

    def measure(points: np.ndarray) -> np.ndarray:
        if patient.lesions is None:
            return np.zeros(points.shape[1], np.float32)
        grey, white, _ = fractions(patient, points)
        level = patient.lesions.sample("level", points, -50.0) + np.float32(shift_mm)
        return ((level > 0) & (grey + white > 0.5)).astype(np.float32)

    return measure


def surface_distance(patient: Patient, name: str = "brain") -> Measure:
    """Signed distance in mm to a surface of the anatomy, positive inside."""
    return lambda points: patient.head.anatomy.surfaces.sample(name, points)


def ct_noise(shape: tuple[int, int, int], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise in HU: about 4 in a voxel of 3×3×5 mm, more in smaller ones, a little correlated in the slice."""
    sigma = min(4.2 * (45.0 / float(np.prod(spacing))) ** 0.35, 9.0)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (0.5, 0.5, 0.0))
    return noise * np.float32(sigma / noise.std())


def _step(distance: np.ndarray) -> np.ndarray:
    """0 outside to 1 inside over 1 mm."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (first + share * (second - first)).astype(np.float32)
