"""What makes scans imperfect: head rest, motion, padding, noise and careless skull stripping."""

import numpy as np

from workflow_scripts.common.volume import Volume
from workflow_scripts.phantom.body.face import AIR
from workflow_scripts.phantom.body.subject import Head, lattice, smooth_noise
from workflow_scripts.phantom.scanner.images import FAR_MM, Measure

FOAM_HU, SHELL_HU = -930.0, -120.0


def add_head_rest(volume: Volume, head: Head) -> np.ndarray:
    """HU with a curved rest of foam in a plastic shell behind the head, straight along the table."""
    back = np.linalg.inv(head.affine) @ [0.0, -122.0, 0.0, 1.0]
    index = np.indices(volume.data.shape, np.float32).reshape(3, -1)
    x, y, _ = volume.affine[:3, :3].astype(np.float32) @ index + volume.affine[:3, 3:].astype(np.float32)
    radius = np.sqrt((x - back[0]) ** 2 + (y - (back[1] + 92.0)) ** 2)
    behind = y < back[1] + 30.0
    depth = (radius - 104.0).reshape(volume.data.shape)
    behind = behind.reshape(volume.data.shape)
    foam = (depth > 0) & (depth < 16) & behind & (volume.data < AIR + 150)
    shell = (depth >= 16) & (depth < 20) & behind & (volume.data < AIR + 150)
    return np.where(shell, SHELL_HU, np.where(foam, FOAM_HU, volume.data)).astype(np.float32)


def add_motion(hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mix every slice with itself shifted by up to a few voxels, and let slices jump."""
    moved = np.empty_like(hu)
    for index in range(hu.shape[2]):
        jump, ghost = rng.integers(-2, 3, 2), rng.integers(-4, 5, 2)
        still = np.roll(hu[:, :, index], jump, axis=(0, 1))
        moved[:, :, index] = 0.6 * still + 0.4 * np.roll(still, ghost, axis=(0, 1))
    return moved


def pad_outside_circle(hu: np.ndarray, padding_hu: float) -> np.ndarray:
    """Fill what lies outside the round field of view."""
    x, y = np.indices(hu.shape[:2])
    centre = (np.array(hu.shape[:2]) - 1) / 2
    outside = np.hypot((x - centre[0]) / (centre[0] + 0.5), (y - centre[1]) / (centre[1] + 0.5)) > 1
    return np.where(outside[:, :, None], padding_hu, hu)


def bad_stripping(rng: np.random.Generator) -> Measure:
    """Signed distance (mm) to a careless brain mask: here 9 mm of skull are left, there 4 mm of the brain are gone."""
    error = lattice({"error": 1.5 + 3.5 * smooth_noise(rng, 22.0)})
    return Measure(lambda place: place["brain"] + np.clip(error.sample("error", place.points), -4, 9), FAR_MM)


def rician(signal: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a complex signal with Gaussian noise of standard deviation ``sigma``."""
    real, imaginary = (sigma * rng.standard_normal(signal.shape, np.float32) for _ in range(2))
    return np.hypot(signal + real, imaginary)
