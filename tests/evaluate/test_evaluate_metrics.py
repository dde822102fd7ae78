"""The measures agree with public libraries, in mm and mL, and their edge cases are those of docs/metrics.md."""

import math
import os

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric.binary import hd95 as medpy_hd95
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_dice import compute_surface_dice
from scipy import ndimage
from scipy.spatial.distance import cdist
from surface_distance import compute_robust_hausdorff, compute_surface_distances

from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume
from workflow_scripts.evaluate.measures import surface_distance
from workflow_scripts.evaluate.measures.lesionwise import detect, without_small_components
from workflow_scripts.evaluate.measures.surface_distance import diagonal_mm, hd95_mm, surface_dice, surface_distances
from workflow_scripts.evaluate.score import score_pair

SPACINGS = [(1.0, 1.0, 1.0), (0.5, 1.25, 5.0), (2.0, 0.7, 3.0)]
SHEARED = np.array([[1, 0, 0.8, 3], [0, 2, 0, -4], [0, 0, 3, 9], [0, 0, 0, 1]], float)
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "60"))  # docs/metrics.md: 500 were tried
ORACLE = settings(max_examples=EXAMPLES)


def blobs(seed: int, spacing: tuple[float, float, float]) -> Volume:
    """A few blobs that keep away from the rim, where the definitions of a surface differ between libraries."""
    noise = np.pad(ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(20, 17, 12)), 2), 1)
    return Volume(noise > np.quantile(noise, 0.9), np.diag([*spacing, 1.0]))


def mask(*points: tuple[int, int, int], shape: tuple[int, int, int] = (6, 6, 6), spacing: float = 1.0) -> Volume:
    data = np.zeros(shape, bool)
    for point in points:
        data[point] = True
    return Volume(data, np.diag([spacing, spacing, spacing, 1.0]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Volume, Volume]:
    """Two masks, none empty, that keep away from the rim: noise of any density, lines, sheets, single voxels, blobs."""
    shape = tuple(draw(st.integers(1, 7)) for _ in range(3))
    spacing = draw(st.sampled_from(SPACINGS))
    volumes = []
    for _ in range(2):
        generator = np.random.default_rng(draw(st.integers(0, 2**20)))
        noise = ndimage.gaussian_filter(generator.normal(size=shape), draw(st.sampled_from([0.0, 0.0, 1.0])))
        inner = noise >= np.quantile(noise, draw(st.floats(0, 1)))
        volumes.append(Volume(np.pad(inner, 1), np.diag([*spacing, 1.0])))
    return volumes[0], volumes[1]


def surface_points(volume: Volume) -> np.ndarray:
    """World coordinates of the voxels with a face neighbour outside the mask or the image, found voxel by voxel."""
    padded = np.pad(volume.data, 1)
    steps = np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    voxels = [v for v in np.argwhere(volume.data) if not all(padded[tuple(v + 1 + step)] for step in steps)]
    return np.array(voxels) @ volume.affine[:3, :3].T


def all_distances(reference: Volume, prediction: Volume) -> tuple[np.ndarray, np.ndarray]:
    table = cdist(surface_points(reference), surface_points(prediction))
    return table.min(axis=1), table.min(axis=0)


def one_hot(volume: Volume) -> torch.Tensor:
    return torch.from_numpy(np.stack([~volume.data, volume.data])[None].astype(np.float32))


def hd95(reference: Volume, prediction: Volume) -> float | None:
    return hd95_mm(surface_distances(reference, prediction))


@ORACLE
@given(pairs(), st.sampled_from(["regular", "sheared"]), st.sampled_from(["tree", "look-ups", "transform"]))
def test_surface_distances_equal_those_of_all_pairs_of_voxels(pair, grid, way):
    if grid == "sheared":
        pair = tuple(Volume(volume.data, SHEARED) for volume in pair)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_distance, "QUERY", 0 if way == "tree" else 10**9)
        patch.setattr(surface_distance, "BUILD", 0)
        patch.setattr(surface_distance, "LOOK_UPS", 2 if way == "look-ups" else 0)
        found = surface_distances(*pair)
    for ours, expected in zip(found, all_distances(*pair), strict=True):
        np.testing.assert_allclose(np.sort(ours), np.sort(expected), rtol=1e-6, atol=1e-12)


@ORACLE
@given(pairs())
def test_dice_and_hd95_equal_monai(pair):
    reference, prediction = pair
    hot = one_hot(prediction), one_hot(reference)
    assert dice(reference.data, prediction.data) == pytest.approx(float(compute_dice(*hot)[0, 1]), abs=1e-6)
    expected = float(compute_hausdorff_distance(*hot, percentile=95, spacing=list(reference.spacing)))
    assert hd95(reference, prediction) == pytest.approx(expected, rel=1e-5)


@ORACLE
@given(pairs(), st.sampled_from([2.0, 5.0]))
def test_surface_dice_equals_monai(pair, tolerance):
    hot = one_hot(pair[1]), one_hot(pair[0])
    options = {"class_thresholds": [tolerance], "spacing": list(pair[0].spacing)}
    expected = float(compute_surface_dice(*hot, **options))
    assert surface_dice(surface_distances(*pair), tolerance) == pytest.approx(expected, abs=1e-6)


@ORACLE
@given(pairs())
def test_medpy_differs_only_by_pooling_the_two_directions(pair):
    reference, prediction = pair
    pooled = np.percentile(np.hstack(surface_distances(reference, prediction)), 95)
    assert medpy_hd95(prediction.data, reference.data, voxelspacing=reference.spacing) == pytest.approx(pooled)


@ORACLE
@given(pairs())
def test_hd95_of_deepmind_is_within_a_voxel_of_ours(pair):
    """Its surface runs between voxels and its points are weighed by area."""
    reference, prediction = pair
    distances = compute_surface_distances(reference.data, prediction.data, reference.spacing)
    largest = max(max(directed) for directed in surface_distances(*pair))
    voxel = float(np.linalg.norm(reference.spacing))
    assert compute_robust_hausdorff(distances, 95) <= largest + voxel
    assert compute_robust_hausdorff(distances, 100) == pytest.approx(largest, abs=voxel)


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
    assert hd95(reference, prediction) == pytest.approx(max(directed), rel=1e-5)


def test_hd95_follows_world_coordinates_not_array_order():
    reference, prediction = blobs(3, (0.5, 1.25, 5.0)), blobs(4, (0.5, 1.25, 5.0))
    swapped = [
        Volume(volume.data[::-1].transpose(2, 0, 1), volume.affine @ flip_and_swap(volume.data.shape))
        for volume in (reference, prediction)
    ]
    assert hd95(*swapped) == pytest.approx(hd95(reference, prediction))


def flip_and_swap(shape: tuple[int, ...]) -> np.ndarray:
    """Index of the swapped array to index of the original: (k, i, j) to (last - i, j, k)."""
    return np.array([[0, -1, 0, shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


def test_a_mask_at_the_rim_of_the_image_has_a_surface_there():
    full = Volume(np.ones((4, 4, 4), bool), np.eye(4))
    assert hd95(full, mask((0, 0, 0), shape=(4, 4, 4))) == pytest.approx(
        np.percentile([np.linalg.norm(p) for p in np.ndindex(4, 4, 4) if {0, 3} & set(p)], 95)
    )


def test_a_distance_of_exactly_the_tolerance_is_within_it():
    assert surface_dice(surface_distances(mask((1, 1, 1)), mask((1, 1, 3))), 2.0) == 1
    assert surface_dice(surface_distances(mask((1, 1, 1)), mask((1, 1, 4))), 2.0) == 0


ONE, OTHER, NEITHER = mask((1, 1, 1)), mask((1, 1, 4)), mask()
DIAGONAL = 5 * math.sqrt(3)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        (ONE, OTHER, (0, 3, 3, 0, 1, 0, 0, 0, 0, 1, 0)),
        (ONE, ONE, (1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1)),
        (ONE, NEITHER, (0, None, DIAGONAL, 0, 0, 0.001, -0.001, 0, 0, 0, 0)),
        (NEITHER, ONE, (0, None, DIAGONAL, 0, 0, 0.001, 0.001, 0, None, 1, 0)),
        (NEITHER, NEITHER, (1, None, 0, 1, 1, 0, 0, 1, None, 0, 1)),
    ],
    ids=["apart", "equal", "missed", "false alarm", "both empty"],
)
def test_edge_cases_are_those_of_the_table(reference, prediction, expected):
    names = ("dice", "hd95_mm", "hd95_penalised_mm", "surface_dice_2mm", "surface_dice_5mm", "volume_difference_ml")
    names += ("signed_volume_difference_ml", "lesion_f1", "lesion_sensitivity", "false_lesions")
    names += ("lesion_sensitivity_penalised",)
    scores = score_pair(reference, prediction)
    for name, value in zip(names, expected, strict=True):
        assert scores[name] == (value if value is None else pytest.approx(value)), name


def test_diagonal_is_no_shorter_than_any_distance_in_a_sheared_image():
    volume = Volume(np.zeros((3, 4, 5), bool), SHEARED)
    points = np.argwhere(~volume.data) @ SHEARED[:3, :3].T
    assert diagonal_mm(volume) == pytest.approx(max(np.linalg.norm(points - p, axis=1).max() for p in points))


def test_volume_is_in_ml_whatever_the_spacing():
    scores = score_pair(mask(spacing=10), mask((0, 0, 0), (0, 0, 1), spacing=10))
    assert scores["signed_volume_difference_ml"] == pytest.approx(2.0)


class TestLesions:
    def test_one_voxel_in_common_finds_a_lesion_and_touching_at_a_corner_does_not(self):
        reference = np.zeros((9, 9, 9), bool)
        reference[:3, :3, :3] = True
        touching, overlapping = np.zeros_like(reference), np.zeros_like(reference)
        touching[3, 3, 3] = overlapping[2, 2, 2] = True
        assert detect(reference, touching) == (0, 1, 1)
        assert detect(reference, overlapping) == (1, 0, 0)

    def test_one_prediction_may_find_two_lesions_and_pieces_of_one_are_not_false(self):
        reference, prediction = np.zeros((2, 9, 9, 9), bool)
        reference[1, 1, 1:3] = reference[1, 1, 5:8] = True
        prediction[1, 1, 1:8] = True
        assert detect(reference, prediction) == (2, 0, 0)
        assert detect(prediction, reference) == (1, 0, 0)
        assert detect(prediction, reference).f1 == 1

    @ORACLE
    @given(pairs())
    def test_counts_equal_those_of_simpleitk_lesion_by_lesion(self, pair):
        reference, prediction = (volume.data for volume in pair)
        referred, predicted = (components(data) for data in (reference, prediction))
        found = sum(prediction[lesion].any() for lesion in referred)
        false = sum(not reference[lesion].any() for lesion in predicted)
        assert detect(reference, prediction) == (found, len(referred) - found, false)


def components(data: np.ndarray) -> list[np.ndarray]:
    labels = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(data.astype(np.uint8)), True)
    labels = SimpleITK.GetArrayFromImage(labels)
    return [labels == label for label in np.unique(labels) if label]


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
