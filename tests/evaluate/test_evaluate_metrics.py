"""The measures agree with MONAI and SimpleITK, in mm and mL, and their edge cases are as the module's table says."""

import math

import numpy as np
import pytest
import SimpleITK
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from scipy import ndimage

from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures.metrics import (
    diagonal_mm,
    hd95_mm,
    hd95_penalised_mm,
    volume_ml,
    without_small_components,
)

SPACINGS = [(1.0, 1.0, 1.0), (0.5, 1.25, 5.0), (2.0, 0.7, 3.0)]


def blobs(seed: int, spacing: tuple[float, float, float]) -> Volume:
    """A few blobs that keep away from the rim, where the definitions of a surface differ between libraries."""
    noise = np.pad(ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(20, 17, 12)), 2), 1)
    return Volume(noise > np.quantile(noise, 0.9), np.diag([*spacing, 1.0]))


def mask(*points: tuple[int, int, int], shape: tuple[int, int, int] = (6, 6, 6), spacing: float = 1.0) -> Volume:
    data = np.zeros(shape, bool)
    for point in points:
        data[point] = True
    return Volume(data, np.diag([spacing, spacing, spacing, 1.0]))


def one_hot(volume: Volume) -> torch.Tensor:
    return torch.from_numpy(np.stack([~volume.data, volume.data])[None].astype(np.float32))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_dice_and_hd95_equal_monai(seed, spacing):
    reference, prediction = blobs(seed, spacing), blobs(seed + 100, spacing)
    pair = one_hot(prediction), one_hot(reference)
    assert dice(reference.data, prediction.data) == pytest.approx(float(compute_dice(*pair)[0, 1]), abs=1e-6)
    expected = float(compute_hausdorff_distance(*pair, percentile=95, spacing=spacing))
    assert hd95_mm(reference, prediction) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_hd95_equals_distance_maps_of_simpleitk(spacing):
    reference, prediction = blobs(1, spacing), blobs(2, spacing)
    contours = []
    for volume in (reference, prediction):
        image = SimpleITK.GetImageFromArray(volume.data.transpose(2, 1, 0).astype(np.uint8))
        image.SetSpacing(spacing)
        contours.append(SimpleITK.BinaryContour(image, fullyConnected=False))
    directed = []
    for first, second in (contours, contours[::-1]):
        distances = SimpleITK.SignedMaurerDistanceMap(second, squaredDistance=False, useImageSpacing=True)
        on_first = SimpleITK.GetArrayFromImage(first) == 1
        directed.append(np.percentile(np.abs(SimpleITK.GetArrayFromImage(distances)[on_first]), 95))
    assert hd95_mm(reference, prediction) == pytest.approx(max(directed), rel=1e-5)


def test_hd95_follows_world_coordinates_not_array_order():
    reference, prediction = blobs(3, (0.5, 1.25, 5.0)), blobs(4, (0.5, 1.25, 5.0))
    swapped = [
        Volume(volume.data[::-1].transpose(2, 0, 1), volume.affine @ flip_and_swap(volume.data.shape))
        for volume in (reference, prediction)
    ]
    assert hd95_mm(*swapped) == pytest.approx(hd95_mm(reference, prediction))


def flip_and_swap(shape: tuple[int, ...]) -> np.ndarray:
    """Index of the swapped array to index of the original: (k, i, j) to (last - i, j, k)."""
    return np.array([[0, -1, 0, shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


def test_a_mask_at_the_rim_of_the_image_has_a_surface_there():
    full = Volume(np.ones((4, 4, 4), bool), np.eye(4))
    assert hd95_mm(full, mask((0, 0, 0), shape=(4, 4, 4))) == pytest.approx(
        np.percentile([np.linalg.norm(p) for p in np.ndindex(4, 4, 4) if {0, 3} & set(p)], 95)
    )


@pytest.mark.parametrize(
    ("reference", "prediction", "expected_dice", "expected_hd95", "expected_penalised"),
    [
        (mask((1, 1, 1)), mask((1, 1, 4)), 0.0, 3.0, 3.0),
        (mask((1, 1, 1)), mask((1, 1, 1)), 1.0, 0.0, 0.0),
        (mask((1, 1, 1)), mask(), 0.0, math.nan, 5 * math.sqrt(3)),
        (mask(), mask((1, 1, 1)), 0.0, math.nan, 5 * math.sqrt(3)),
        (mask(), mask(), 1.0, math.nan, 0.0),
    ],
    ids=["apart", "equal", "missed", "false alarm", "both empty"],
)
def test_edge_cases_are_those_of_the_table(reference, prediction, expected_dice, expected_hd95, expected_penalised):
    assert dice(reference.data, prediction.data) == expected_dice
    hd95 = hd95_mm(reference, prediction)
    assert hd95 == pytest.approx(expected_hd95, nan_ok=True)
    assert hd95_penalised_mm(reference, prediction, hd95) == pytest.approx(expected_penalised)


def test_diagonal_is_no_shorter_than_any_distance_in_a_sheared_image():
    affine = np.array([[1, 0, 0.8, 3], [0, 2, 0, -4], [0, 0, 3, 9], [0, 0, 0, 1]], float)
    volume = Volume(np.zeros((3, 4, 5), bool), affine)
    points = np.argwhere(~volume.data) @ affine[:3, :3].T
    assert diagonal_mm(volume) == pytest.approx(max(np.linalg.norm(points - p, axis=1).max() for p in points))


def test_volume_is_in_ml_whatever_the_spacing():
    assert volume_ml(mask((0, 0, 0), (0, 0, 1), spacing=10)) == pytest.approx(2.0)


class TestComponents:
    def test_a_component_of_exactly_the_limit_goes_and_a_larger_one_stays(self):
        two, three = [(0, 0, 0), (0, 0, 1)], [(4, 4, 0), (4, 4, 1), (4, 4, 2)]
        kept = without_small_components(mask(*two, *three, spacing=10), limit_ml=2.0)
        assert np.argwhere(kept.data).tolist() == [list(point) for point in three]

    @pytest.mark.parametrize("spacing", [1.0, 0.1, 1 / 3, 6.0])
    def test_rounding_of_the_voxel_volume_does_not_move_the_limit(self, spacing):
        three = mask((1, 1, 1), (1, 1, 2), (1, 1, 3), spacing=spacing)
        assert not without_small_components(three, limit_ml=3 * spacing**3 / 1000).data.any()

    def test_voxels_that_touch_at_a_corner_are_one_component(self):
        assert without_small_components(mask((1, 1, 1), (2, 2, 2), spacing=10), limit_ml=1.5).data.sum() == 2

    def test_components_equal_those_of_simpleitk(self):
        noise = np.random.default_rng(0).random((20, 20, 20)) > 0.93
        image = SimpleITK.GetImageFromArray(noise.astype(np.uint8))
        labels = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(image, True), minimumObjectSize=4)
        expected = SimpleITK.GetArrayFromImage(labels) > 0
        assert np.array_equal(without_small_components(Volume(noise, np.eye(4)), 0.003).data, expected)
