"""Lesion-wise detection against panoptica, in an environment of its own: it needs an older numpy than this workflow.

    python -m venv panoptica-environment
    panoptica-environment/bin/pip install panoptica==2.1.7 nibabel pyyaml
    panoptica-environment/bin/python -m tests.benchmarks.bench_panoptica

With any overlap and several segmentations allowed to one lesion, what panoptica does not match are our false lesions;
with the two masks exchanged, our missed ones. Stops at the first pair of masks where a number differs.
"""

import numpy as np
from panoptica import ConnectedComponentsInstanceApproximator, InputType, Metric, Panoptica_Evaluator
from panoptica.instance_matcher import NaiveThresholdMatching
from scipy import ndimage

from workflow_scripts.evaluate.measures.lesionwise import detect

PAIRS, SEED = 500, 14
ANY_OVERLAP = 1e-9  # intersection over union


def masks(generator: np.random.Generator) -> np.ndarray:
    """Two masks, (2, x, y, z): noise of any density and smoothness."""
    noise = generator.normal(size=(2, *generator.integers(2, 14, 3)))
    smooth = [ndimage.gaussian_filter(one, generator.choice([0.0, 0.5, 1.0])) for one in noise]
    return np.stack([one > np.quantile(one, generator.uniform(0.5, 0.99)) for one in smooth])


def unmatched(evaluator: Panoptica_Evaluator, reference: np.ndarray, prediction: np.ndarray) -> int:
    """Return how many lesions of the prediction panoptica matched to none of the reference."""
    arrays = prediction.astype(np.uint8), reference.astype(np.uint8)
    return evaluator.evaluate(*arrays, verbose=False)["ungrouped"].fp


def bench_panoptica() -> None:
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(matching_threshold=ANY_OVERLAP, allow_many_to_one=True),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )
    generator = np.random.default_rng(SEED)
    for number in range(PAIRS):
        reference, prediction = masks(generator)
        ours = detect(reference, prediction)
        theirs = unmatched(evaluator, prediction, reference), unmatched(evaluator, reference, prediction)
        if (ours.missed, ours.false) != theirs:
            raise AssertionError(f"pair {number}: missed and false {ours.missed}, {ours.false}; panoptica {theirs}")
    print(f"{PAIRS} pairs of masks: missed and false lesions are those of panoptica")


if __name__ == "__main__":
    bench_panoptica()
