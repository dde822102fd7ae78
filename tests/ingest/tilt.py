"""How exactly a tilted scan and its lesion mask come upright: landmarks and a lesion whose place is a formula.

``python -m tests.ingest.tilt`` prints the table of docs/accuracy.md, from scans with pixels of 1 mm.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.ingest.command import CASE, ingest_ncct
from tests.ingest.dicom_series import CENTRE, Scan, inside_head, write_series
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion

TILTS = range(-25, 26, 5)
GAPS: Mapping[str, tuple[float, ...]] = {"equal": (5.0,) * 23, "unequal": (3.0,) * 12 + (6.0,) * 13}  # mm
FINE = {"rows": 224, "columns": 192, "pixel": (1.0, 1.0)}
LANDMARKS = CENTRE + np.array([[32.0, 0, 0], [-32, 8, 6], [0, 42, -8], [4, -44, 10], [0, 0, 34], [-6, 10, -34]])
SIGMA_MM = 5.0
BRAIN_HU, LANDMARK_HU = 40.0, 300.0


@dataclass(frozen=True)
class Accuracy:
    """Distances of the found landmarks from their places, and the Dice of the mask that followed to the lesion.

    ``voxels`` is the largest error along any axis of an acquired voxel, in such voxels; ``mm`` the longest error.
    """

    voxels: float
    mm: float
    dice: float


def values(points: np.ndarray) -> np.ndarray:
    """HU at points (…, 3), RAS+, mm: a head in air with bright landmarks."""
    peaks = sum(np.exp(-((points - place) ** 2).sum(axis=-1) / (2 * SIGMA_MM**2)) for place in LANDMARKS)
    return np.where(inside_head(points), BRAIN_HU + LANDMARK_HU * peaks, -1000.0)


def lesion(points: np.ndarray) -> np.ndarray:
    """An ellipsoid off the middle in every direction, about 75 mL."""
    return (((points - [24, -20, 66]) / [22, 30, 27]) ** 2).sum(axis=-1) < 1


def measure(scan: Scan, folder: Path) -> Accuracy:
    """Ingest a scan of `values` and a mask drawn on its slices, and look where everything lies."""
    image, _ = ingest_ncct(write_series(scan, folder / "dicom"), folder)
    mask, ncct = folder / "mask.nii.gz", folder / "ncct.nii.gz"
    nib.save(nib.Nifti1Image(scan.drawn(lesion).astype(np.uint8), scan.affine), mask)
    inputs = ["--lesion", str(mask), "--reference", str(ncct), "--record", str(folder / "ncct.json")]
    ingest_lesion([*CASE, *inputs, "--out", str(folder / "lesion.nii.gz")])
    followed = nib.load(folder / "lesion.nii.gz").get_fdata() > 0
    points = nib.affines.apply_affine(image.affine, np.moveaxis(np.indices(image.shape), 0, -1))
    truth = lesion(points)
    errors = np.array([_find(image.get_fdata(), points, place) - place for place in LANDMARKS])
    return Accuracy(
        voxels=float(np.abs(errors @ np.linalg.inv(scan.affine[:3, :3]).T).max()),
        mm=float(np.linalg.norm(errors, axis=1).max()),
        dice=float(2 * (followed & truth).sum() / (followed.sum() + truth.sum())),
    )


def _find(data: np.ndarray, points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the centre of mass of the landmark near ``start``, in a ball that moves along with it."""
    near = np.linalg.norm(points - start, axis=-1) < 8 * SIGMA_MM
    points, weights = points[near], np.clip(data[near] - BRAIN_HU, 0, None)
    centre = start
    for _ in range(10):
        ball = np.linalg.norm(points - centre, axis=-1) < 3 * SIGMA_MM
        centre = weights[ball] @ points[ball] / weights[ball].sum()
    return centre


def main(argv: Sequence[str] | None = None) -> None:
    """Print one row an angle: the errors with equal and unequal gaps, with and without the tag of the tilt."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    columns = list(itertools.product(GAPS, (True, False)))
    titles = [f"{gaps} gaps, {'tag' if tag else 'no tag'}" for gaps, tag in columns]
    lines = ["| tilt | " + " | ".join(titles) + " |", "|---" * (1 + len(columns)) + "|"]
    for tilt in TILTS:
        cells = []
        for gaps, tag in columns:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(Scan(tilt=float(tilt), tag=tag, gaps=GAPS[gaps], values=values, **FINE), Path(folder))
            cells.append(f"{found.voxels:.2f} · {found.mm:.2f} · {found.dice:.3f}")
        lines.append(f"| {tilt}° | " + " | ".join(cells) + " |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
