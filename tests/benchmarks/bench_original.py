"""What a mask loses on its way to the acquired slices and back, 512 × 512 × 5 mm. Run with `make bench`."""

import numpy as np

from tests.segment.acquired_series import SHAPE, Series, rough_lesion
from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume

TILTS_DEGREES = (0.0, 15.0, -20.0)
MILLILITRES = (3.2, 5.0, 8.0, 12.0, 30.0, 100.0)
LEAST_DICE = 0.97
SEED = 1


def bench_way_back() -> None:
    scores: dict[float, list[tuple[float, float, float]]] = {millilitres: [] for millilitres in MILLILITRES}
    for tilt in TILTS_DEGREES:
        series = Series(tilt)
        for millilitres, found in scores.items():
            found.append(_round_trips(series, millilitres))
    print("\nDice, mean and least of three: 0°, 15° and −20° of tilt")
    print("    mL   drawn on slices, at 1 mm, slices, 1 mm   slices, 1 mm, slices   predicted at 1 mm, slices, 1 mm")
    for millilitres, found in scores.items():
        mean, least = np.mean(found, axis=0), np.min(found, axis=0)
        columns = (f"{one:.3f} {other:.3f}" for one, other in zip(mean, least, strict=True))
        print(f"{millilitres:6.1f}" + "".join(f"{column:>28}" for column in columns))
    returned, redrawn, predicted = (np.concatenate(list(scores.values()))[:, way] for way in range(3))
    within = np.count_nonzero(redrawn >= LEAST_DICE)
    print(f"slices, 1 mm, slices: {within} of {redrawn.size} with Dice >= {LEAST_DICE}")
    print(f"ratio of what slices and 1 mm voxels (reference) lose: {(1 - predicted).mean() / (1 - redrawn).mean():.1f}")
    assert min(returned.min(), redrawn.min()) >= LEAST_DICE


def _round_trips(series: Series, millilitres: float) -> tuple[float, float, float]:
    drawn = rough_lesion(Volume(np.zeros(SHAPE, np.uint8), series.affine), millilitres, SEED)
    final = series.forward(drawn)
    there = series.back(final)
    predicted = rough_lesion(series.final, millilitres, SEED)
    return (
        dice(series.forward(there).data > 0, final.data > 0),
        dice(there.data > 0, drawn.data > 0),
        dice(series.forward(series.back(predicted)).data > 0, predicted.data > 0),
    )
