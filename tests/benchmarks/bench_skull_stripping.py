"""Accuracy and time of the embedded skull stripping on full-size heads whose brain is known. Run with `make bench`."""

import time

import numpy as np

from tests.preprocess.full_size import full_size_head
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.preprocess.stripping.methods import StrippingSettings, ncct_brain, pseudo_t1

# Cohort, case and radius of a hole in the skull (mm): healthy, small and large infarcts, posterior ones, both sides.
HEADS = [
    ("CENTER-TBI", "C01", None),
    ("CENTER-TBI", "C02", None),
    ("CENTER-TBI", "C03", 30.0),
    ("AISD", "A01", None),
    ("AISD", "A04", None),
    ("AISD", "A07", 30.0),
    ("AISD", "A08", None),
    ("icoAIS", "I01", None),
    ("icoAIS", "I02", 40.0),
    ("icoAIS", "I05", None),
    ("icoAIS", "I06", None),
    ("icoAIS", "I09", 30.0),
]
LEAST_DICE = {"hu": 0.95, "deepbet": 0.96}
MOST_LOST = 0.02
SETTINGS = StrippingSettings(threads=2, deepbet_grid=256, border_mm=0)


def bench_skull_stripping() -> None:
    anatomy = build_anatomy(1.0)
    rows = []
    print("\nhead            hole mm  lesion mL  method     Dice   lost %  added %  lesion lost %     s")
    for cohort, case, hole in HEADS:
        head = full_size_head(anatomy, cohort, case, defect_mm=hole, seed=2023)
        padded = np.zeros(head.brain.shape, bool)
        for method in LEAST_DICE:
            start = time.perf_counter()
            image = pseudo_t1(method, head.ct, padded, SETTINGS)
            found = ncct_brain(method, head.ct, image, padded, SETTINGS)
            seconds = time.perf_counter() - start
            brain, lesion = np.count_nonzero(head.brain), np.count_nonzero(head.lesion)
            both = np.count_nonzero(found & head.brain)
            dice = 2 * both / (np.count_nonzero(found) + brain)
            lost, added = 1 - both / brain, (np.count_nonzero(found) - both) / brain
            lesion_lost = np.count_nonzero(head.lesion & ~found) / lesion if lesion else 0.0
            rows.append((method, dice, max(lost, lesion_lost), seconds))
            print(
                f"{cohort + ' ' + case:14}  {hole or 0:7.0f}  {lesion * head.ct.voxel_ml:9.1f}  {method:8} {dice:6.4f}"
                f"  {100 * lost:6.2f}  {100 * added:7.2f}  {100 * lesion_lost:13.2f}  {seconds:4.1f}"
            )
    means = {method: np.mean([row[3] for row in rows if row[0] == method]) for method in LEAST_DICE}
    for method, least in LEAST_DICE.items():
        dices = [row[1] for row in rows if row[0] == method]
        print(f"{method}: Dice {min(dices):.4f} to {max(dices):.4f}, {means[method]:.1f} s")
        assert min(dices) >= least
    print(f"ratio of times, deepbet to hu (reference): {means['deepbet'] / means['hu']:.1f}")
    assert max(row[2] for row in rows) <= MOST_LOST
