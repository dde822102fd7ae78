"""Time of HD95 on pairs of masks of 192 × 192 × 160 voxels of 1 mm, on one core, beside that of medpy.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_hd95

Prints processor seconds, the fastest of three runs for ours, one run for medpy, where that is installed. Both are given
masks in memory. "Reach" is the value of HD95: medpy pools the two directions, so its value is another one.
"""

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures.surface_distance import hd95_mm, surface_distances

SHAPE = (192, 192, 160)

try:
    from medpy.metric.binary import hd95 as medpy_hd95
except ImportError:
    medpy_hd95 = None


def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """A filled ellipsoid; centre and radii in voxels."""
    axes = np.ogrid[tuple(slice(size) for size in SHAPE)]
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)) <= 1


def noise(seed: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.0)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    first = noise(1)
    second = first + 0.7 * noise(2)
    return {
        "smooth": (ellipsoid((80, 90, 80), (30, 35, 25)), ellipsoid((84, 92, 79), (32, 30, 26))),
        "far apart": (ellipsoid((150, 150, 120), (28, 20, 20)), ellipsoid((40, 40, 40), (25, 22, 22))),
        "ragged": (
            ellipsoid((90, 90, 80), (45, 50, 40)) & (first > 0),
            ellipsoid((92, 92, 80), (45, 50, 40)) & (second > 0),
        ),
        "lesion, most of the brain": (
            ellipsoid((120, 80, 90), (15, 20, 15)),
            ellipsoid((96, 96, 80), (70, 85, 65)),
        ),
    }


def seconds(function: Callable[[], float], runs: int) -> tuple[float, float]:
    """Return the result and the least processor time."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, min(times)


def bench_hd95() -> None:
    print("| pair | reach, mm | ours, s | medpy, mm | medpy, s | times as fast |")
    print("|---|---|---|---|---|---|")
    totals = np.zeros(2)
    for name, masks in pairs().items():
        reference, prediction = (Volume(mask, np.eye(4)) for mask in masks)
        value, ours = seconds(lambda r=reference, p=prediction: hd95_mm(surface_distances(r, p)), runs=3)
        cells = f"| {name} | {value:.3f} | {ours:.2f} |"
        if medpy_hd95 is None:
            print(cells, "not installed | | |")
            continue
        other, theirs = seconds(lambda m=masks: float(medpy_hd95(*m)), runs=1)
        totals += ours, theirs
        print(cells, f"{other:.3f} | {theirs:.2f} | {theirs / ours:.0f} |")
    if totals.any():
        print(f"| mean | | {totals[0] / 4:.2f} | | {totals[1] / 4:.2f} | {totals[1] / totals[0]:.0f} |")


if __name__ == "__main__":
    bench_hd95()
