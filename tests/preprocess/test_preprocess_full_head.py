"""A whole head with an infarct under a hole in its skull: neither method loses brain there.

All of the accuracy, at 1 mm and on twelve heads, is in tests/benchmarks/bench_skull_stripping.py.
"""

import numpy as np
import pytest

from tests.preprocess.full_size import full_size_head
from workflow_scripts.common.masks import dice
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.preprocess.stripping.methods import StrippingSettings, ncct_brain, pseudo_t1

SETTINGS = StrippingSettings(threads=1, deepbet_grid=160, border_mm=0)


@pytest.fixture(scope="module")
def whole_head():
    return full_size_head(build_anatomy(2.0), "icoAIS", "I02", defect_mm=40.0, seed=2023, voxel_mm=2.0)


@pytest.mark.parametrize(("method", "least"), [("hu", 0.95), ("deepbet", 0.96)])
def test_a_brain_is_found_whole_under_a_hole_in_the_skull(whole_head, method, least):
    padded = np.zeros(whole_head.brain.shape, bool)
    image = pseudo_t1(method, whole_head.ct, padded, SETTINGS)
    found = ncct_brain(method, whole_head.ct, image, padded, SETTINGS)
    assert whole_head.lesion.sum() * whole_head.ct.voxel_ml > 50
    assert dice(found, whole_head.brain) >= least
    assert (whole_head.brain & ~found).sum() <= 0.02 * whole_head.brain.sum()
    assert (whole_head.lesion & ~found).sum() <= 0.02 * whole_head.lesion.sum()
