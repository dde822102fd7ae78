"""Time of HD95 on pairs of masks of 192 × 192 × 160 voxels of 1 mm, on one core, beside that of medpy.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_hd95

Prints processor seconds, the fastest of three runs for ours and for the way before, one run for medpy. Both are given
masks in memory. "Reach" is the value of HD95: medpy pools the two directions, so its value is another one.
"""

import time
from collections.abc import Callable

import numpy as np
from medpy.metric.binary import hd95 as medpy_hd95
from scipy import ndimage

from workflow_scripts.common.masks import bounding_box
from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures.surface_distance import hd95_mm, surface_distances

SHAPE = (192, 192, 160)


def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """A filled ellipsoid; centre and radii in voxels."""
    axes = np.ogrid[tuple(slice(size) for size in SHAPE)]
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)) <= 1


def noise(seed: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.0)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    first = noise(1)
    second = first + 0.7 * noise(2)
    generator, brain = np.random.default_rng(3), ellipsoid((96, 96, 80), (70, 85, 65))
    return {
        "smooth": (ellipsoid((80, 90, 80), (30, 35, 25)), ellipsoid((84, 92, 79), (32, 30, 26))),
        "far apart": (ellipsoid((150, 150, 120), (28, 20, 20)), ellipsoid((40, 40, 40), (25, 22, 22))),
        "ragged": (
            ellipsoid((90, 90, 80), (45, 50, 40)) & (first > 0),
            ellipsoid((92, 92, 80), (45, 50, 40)) & (second > 0),
        ),
        "lesion, most of the brain": (
            ellipsoid((120, 80, 90), (15, 20, 15)),
            brain,
        ),
        "ragged, the whole brain": (brain & (first > 0), brain & (noise(2) > 0)),
        "noise, half of the brain": (brain & (generator.random(SHAPE) < 0.5), brain & (generator.random(SHAPE) < 0.5)),
        "specks, half of the brain": (
            brain & (generator.random(SHAPE) < 0.002),
            brain & (generator.random(SHAPE) < 0.5),
        ),
        "specks": (brain & (generator.random(SHAPE) < 0.01), brain & (generator.random(SHAPE) < 0.01)),
    }


def hd95_by_transforms(reference: Volume, prediction: Volume) -> float:
    """HD95 as it was until November 2026 for many surface voxels: scipy's transform of the box around both surfaces."""
    masks = [volume.data[bounding_box(reference.data | prediction.data)] for volume in (reference, prediction)]
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    directed = []
    for surface, other in (surfaces, surfaces[::-1]):
        nearest = ndimage.distance_transform_edt(~other, return_distances=False, return_indices=True)
        points = np.argwhere(surface)
        directed.append(np.linalg.norm(points - nearest[:, *points.T].T, axis=1))
    return float(max(np.percentile(distances, 95) for distances in directed))


def seconds(function: Callable[[], float], runs: int) -> tuple[float, float]:
    """Return the result and the least processor time."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, min(times)


def bench_hd95() -> None:
    print("| pair | reach, mm | ours, s | by transforms, s | medpy, mm | medpy, s | times as fast |")
    print("|---|---|---|---|---|---|---|")
    totals = np.zeros(3)
    for name, masks in pairs().items():
        reference, prediction = (Volume(mask, np.eye(4)) for mask in masks)
        value, ours = seconds(lambda r=reference, p=prediction: hd95_mm(surface_distances(r, p)), runs=3)
        same, before = seconds(lambda r=reference, p=prediction: hd95_by_transforms(r, p), runs=3)
        if same != value:
            raise AssertionError(f"{name}: {value} now, {same} before")
        cells = f"| {name} | {value:.3f} | {ours:.2f} | {before:.2f} |"
        other, theirs = seconds(lambda m=masks: float(medpy_hd95(*m)), runs=1)
        totals += ours, before, theirs
        print(cells, f"{other:.3f} | {theirs:.2f} | {theirs / ours:.0f} |")
    means = totals / len(pairs())
    print(f"| mean | | {means[0]:.2f} | {means[1]:.2f} | | {means[2]:.2f} | {means[2] / means[0]:.0f} |")


if __name__ == "__main__":
    bench_hd95()
