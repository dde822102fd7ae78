"""Fingerprint of a dataset, as nnU-Net's extractor makes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.cases import DatasetCase
from workflow_scripts.common.nnunet.parallel import for_each

TOTAL_DRAWS = 10**8
INTENSITIES = "foreground_intensity_properties_per_channel"


def extract_fingerprint(cases: Sequence[DatasetCase], label_voxels: Sequence[int], threads: int = 1) -> dict[str, Any]:
    """Summarise shapes, spacings and label intensities of some cases.

    Reading, sampling and the statistics are those of ``DatasetFingerprintExtractor``, whose ``run`` needs its own
    folder layout and a pool. It draws the same number of intensities from each case, with replacement, 1e8 in all;
    here that number is at most the size of the largest label, beyond which more draws only cost time.

    Parameters
    ----------
    cases
        the cases that statistics may come from
    label_voxels
        voxels of each case's label
    threads
        processes that read cases

    Returns
    -------
    dict
        spacings and shapes_after_crop (z, y, x), median_relative_size_after_cropping, and for each channel ("0", …)
        mean, median, std, min, max and percentiles in the image's own units
    """
    if not cases or not max(label_voxels):
        raise InputError(
            "No case that statistics may come from has a voxel in its label.",
            "put cases with a label into the training split.",
        )
    draws = min(TOTAL_DRAWS // len(cases), max(label_voxels))
    results = for_each(_analyse, [(case, draws) for case in cases], threads)
    shapes, spacings, intensities, _, relative_sizes = zip(*results, strict=True)
    channels = range(len(cases[0].images))
    pooled = [np.concatenate([case[channel] for case in intensities]) for channel in channels]
    return {
        "spacings": [[float(value) for value in spacing] for spacing in spacings],
        "shapes_after_crop": [[int(value) for value in shape] for shape in shapes],
        INTENSITIES: {str(channel): _properties(pooled[channel]) for channel in channels},
        "median_relative_size_after_cropping": float(np.median(relative_sizes)),
    }


def with_intensities_of(fingerprint: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``fingerprint`` with the intensity statistics of ``other`` (paper 3.3, third step).

    Done before planning, so that the plans and with them the CT normalisation carry the other's statistics.
    """
    if fingerprint[INTENSITIES].keys() != other[INTENSITIES].keys():
        raise InputError(
            f"The pretraining's dataset has {len(other[INTENSITIES])} channels, the arm has "
            f"{len(fingerprint[INTENSITIES])}.",
            "give the arm a pretraining with the same channels.",
        )
    return {**fingerprint, INTENSITIES: other[INTENSITIES]}


def _analyse(case: DatasetCase, draws: int) -> tuple:
    return DatasetFingerprintExtractor.analyze_case(
        [str(path) for path in case.images], str(case.label), NibabelIO, draws
    )


def _properties(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, (0.5, 50.0, 99.5))
    return {
        "mean": float(np.mean(values)),
        "median": float(median),
        "std": float(np.std(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "percentile_00_5": float(low),
        "percentile_99_5": float(high),
    }
