from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import ndimage

from workflow_scripts.pretrain.views.crops import (
    BrainBoxes,
    Crops,
    brain_fraction,
    draw_slabs,
    draw_views,
    read_block,
    read_view,
)
from workflow_scripts.pretrain.views.on_device import ScansOnDevice
from workflow_scripts.pretrain.views.scans import describe_scan

DRAWS = 300


@pytest.fixture
def scan(make_scan):
    return make_scan()


def drawn(scan, settings, seed=1):
    """Pairs of crops of one scan, as a batch draws them."""
    groups = draw_views(BrainBoxes.of([scan]), np.zeros(DRAWS, int), settings, np.random.default_rng(seed))
    return list(zip(*(singles(groups[0])[i * DRAWS : (i + 1) * DRAWS] for i in range(2)), strict=True))


def singles(crops):
    return [Crop(*row) for row in zip(crops.start, crops.size, crops.mirrored, strict=True)]


class Crop(NamedTuple):
    start: np.ndarray
    size: np.ndarray
    mirrored: bool


def spans(crop, axis):
    return crop.start[axis], crop.start[axis] + crop.size[axis]


def test_a_scan_knows_its_bounding_box_background_and_brain_area(scan):
    values = np.asarray(scan.image)
    inside = values[0] != -3
    for axis, (low, high) in enumerate(scan.box):
        hits = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
        assert (low, high) == (hits[0], hits[-1] + 1)
    assert scan.background.tolist() == [-3]
    np.testing.assert_array_equal(scan.brain_area, inside.sum((1, 2))[slice(*scan.box[0])])


def test_both_views_lie_in_one_slab_of_the_brain_at_the_same_height(scan, make_settings):
    settings = make_settings()
    low, high = scan.box[0]
    for one, two in drawn(scan, settings):
        assert one.start[0] == two.start[0]
        assert low <= one.start[0] and one.start[0] + one.size[0] <= high
        assert one.size[0] == two.size[0] == settings.patch_size[0]


def test_heights_inside_the_slab_differ_only_when_asked(scan, make_settings):
    pairs = drawn(scan, make_settings(independent_z=True))
    offsets = [abs(one.start[0] - two.start[0]) for one, two in pairs]
    assert 0 < max(offsets) <= 9 - 6


def test_views_scale_in_the_plane_and_share_a_parent_that_fits_the_brain(scan, make_settings):
    settings = make_settings()
    sides = set()
    for one, two in drawn(scan, settings):
        for axis in (1, 2):
            low, high = scan.box[axis]
            patch = settings.patch_size[axis]
            union = max(spans(one, axis)[1], spans(two, axis)[1]) - min(one.start[axis], two.start[axis])
            assert union <= min(round(1.8 * patch), high - low)
            for view in (one, two):
                assert low <= view.start[axis] and spans(view, axis)[1] <= high
                assert round(0.8 * patch) <= view.size[axis] <= round(1.2 * patch)
                sides.add(view.size[axis])
    assert min(sides) < 12 < max(sides)


def test_every_pair_overlaps(scan, make_settings):
    for one, two in drawn(scan, make_settings(parent_scale=[1.0, 1.0])):
        for axis in range(3):
            assert max(one.start[axis], two.start[axis]) < min(spans(one, axis)[1], spans(two, axis)[1])


def test_slabs_poor_in_brain_become_rarer_by_the_rule(scan, make_settings):
    """Compared with the exact distribution of the rule, as a Markov chain over the possible slabs."""
    settings = make_settings(slab_slices=6, patch_size=[6, 12, 12], min_brain_fraction=0.55, max_draws=3)
    low, high = scan.box[0]
    starts = np.arange(low, high - 6 + 1)
    boxes, chosen = BrainBoxes.of([scan]), np.zeros(len(starts), int)
    fraction = brain_fraction(boxes, chosen, starts, 6)
    kept = np.where(fraction >= 0.55, 1.0, fraction)
    assert (kept < 1).any()
    redraw = (1 - kept).mean()
    expected = kept / len(starts) * (1 + redraw) + redraw**2 / len(starts)
    rng = np.random.default_rng(0)
    slabs = draw_slabs(boxes, np.zeros(6000, int), settings, rng)
    counts = np.bincount(slabs - low, minlength=len(starts))
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose(counts / 6000, expected, atol=4 * np.sqrt(0.25 / 6000))


def test_brain_fraction_counts_mask_voxels_of_the_bounding_box(scan):
    (z0, _), (y0, y1), (x0, x1) = scan.box
    mask = np.asarray(scan.image)[0] != -3
    assert brain_fraction(BrainBoxes.of([scan]), np.array([0]), np.array([z0 + 2]), 5)[0] == pytest.approx(
        mask[z0 + 2 : z0 + 7, y0:y1, x0:x1].mean()
    )


def test_symmetry_reads_one_view_from_the_mirrored_image_with_its_probability(scan, make_settings):
    pairs = drawn(scan, make_settings())
    assert all(not (one.mirrored and two.mirrored) for one, two in pairs)
    first = np.mean([one.mirrored for one, _ in pairs])
    second = np.mean([two.mirrored for _, two in pairs])
    assert first == pytest.approx(0.35, abs=0.1) and second == pytest.approx(0.35, abs=0.1)
    assert not any(view.mirrored for pair in drawn(scan, make_settings(symmetry=False)) for view in pair)


def test_symmetry_changes_the_source_of_a_view_and_not_its_place(scan, make_settings):
    with_symmetry, without = drawn(scan, make_settings()), drawn(scan, make_settings(symmetry=False))
    for pair, plain in zip(with_symmetry, without, strict=True):
        for view, other in zip(pair, plain, strict=True):
            assert np.array_equal(view.start, other.start) and np.array_equal(view.size, other.size)


def test_the_mirrored_image_is_read_at_the_same_location(scan):
    place = (8, 9, 7), (6, 12, 12)
    ordinary = read_view(scan, *place, False, (6, 12, 12))
    contralateral = read_view(scan, *place, True, (6, 12, 12))
    block = np.asarray(scan.image)[:, 8:14, 9:21, :]
    np.testing.assert_array_equal(ordinary, block[..., 7:19])
    np.testing.assert_array_equal(contralateral, block[..., ::-1][..., 7:19])


def test_what_lies_outside_the_array_is_background_of_each_channel():
    array = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3)
    block = read_block(array, (-1, 1, 2), (3, 4, 3), np.array([-5.0, 0.5], np.float32))
    np.testing.assert_array_equal(block[:, 1:, :2, :1], array[:, :2, 1:, 2:])
    outside = np.ones((3, 4, 3), bool)
    outside[1:, :2, :1] = False
    assert (block[0][outside] == -5).all() and (block[1][outside] == 0.5).all()
    assert (read_block(array, (9, 9, 9), (1, 1, 1), np.array([-5.0, 0.5], np.float32)).ravel() == [-5, 0.5]).all()


def test_a_brain_smaller_than_the_patch_is_centred_in_background(make_settings):
    image = np.full((1, 10, 10, 10), -3, np.float32)
    brain = np.zeros((10, 10, 10), bool)
    brain[3:7, 2:8, 2:8] = True
    image[0][brain] = 1
    scan = describe_scan("A/small", "train", image, brain, image)
    settings = make_settings(view_scale=[1.0, 1.0])
    one, _ = drawn(scan, settings)[0]
    assert one.start[1:].tolist() == [-1, -1]
    view = read_view(scan, *one, settings.patch_size)
    assert sorted(view.unique().tolist()) == [-3, 1]
    assert view.shape == (1, 6, 12, 12)


def test_scaling_equals_bilinear_interpolation_of_each_slice(scan):
    view = read_view(scan, (5, 4, 4), (6, 15, 10), False, (6, 12, 12))
    block = torch.from_numpy(np.asarray(scan.image)[:, 5:11, 4:19, 4:14].copy())
    expected = torch.nn.functional.interpolate(block, size=(12, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(view, expected)


def test_each_view_keeps_its_own_channels(make_scan):
    scan = make_scan(channels=2)
    for z, y, x in ((3, 4, 4), (8, 8, 6)):
        view = read_view(scan, (z, y, x), (6, 12, 12), False, (6, 12, 12))
        np.testing.assert_array_equal(view, np.asarray(scan.image)[:, z : z + 6, y : y + 12, x : x + 12])


def turning(settings, probability=0.6, degrees=(-40, 40)):
    augmentation = settings.to_mapping()["augmentation"]
    return augmentation | {"rotation": {"probability": probability, "degrees": list(degrees)}}


def test_a_turned_view_is_the_image_turned_around_the_middle_of_the_box(scan):
    """Oracle: scipy's spline of order 1 through the padded image, at the places of a box that is turned and scaled."""
    start, size, patch, angle = (5, 6, 3), (6, 14, 17), (6, 12, 15), 0.5
    view = read_view(scan, start, size, False, patch, angle)
    image = scan.image[0].astype(float)
    y, x = np.meshgrid(
        *((np.arange(p) + 0.5) / p * s - s / 2 for p, s in zip(patch[1:], size[1:], strict=True)), indexing="ij"
    )
    places_y = start[1] + size[1] / 2 - 0.5 + np.cos(angle) * y - np.sin(angle) * x
    places_x = start[2] + size[2] / 2 - 0.5 + np.sin(angle) * y + np.cos(angle) * x
    for z in range(patch[0]):
        padded = np.pad(image[start[0] + z], 8, constant_values=scan.background[0])
        expected = ndimage.map_coordinates(padded, [places_y + 8, places_x + 8], order=1)
        np.testing.assert_allclose(view[0, z], expected, atol=1e-4)
    whole = read_view(scan, (5, 6, 3), (6, 12, 12), False, (6, 12, 12))
    quarter = read_view(scan, (5, 6, 3), (6, 12, 12), False, (6, 12, 12), np.pi / 2)
    torch.testing.assert_close(quarter, whole.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_views_are_turned_as_often_and_as_far_as_asked_and_nothing_else_changes(scan, make_settings):
    plain = make_settings()
    settings = make_settings(augmentation=turning(plain, 0.6, (-10, 30)))
    boxes, chosen = BrainBoxes.of([scan]), np.zeros(DRAWS, int)
    crops, still = (draw_views(boxes, chosen, each, np.random.default_rng(1))[0] for each in (settings, plain))
    angle = np.rad2deg(crops.angle)
    assert 0.5 < (angle != 0).mean() < 0.7 and -10 <= angle.min() < -5 and 25 < angle.max() <= 30
    assert not still.angle.any()


@pytest.mark.parametrize("probability", [0.0, 0.6])
def test_views_cut_on_the_device_equal_those_read_one_by_one(make_scan, make_settings, probability):
    scans = [make_scan(seed, channels=2) for seed in range(3)]
    settings = make_settings(channels=["ncct", "difference"])
    settings = make_settings(channels=["ncct", "difference"], augmentation=turning(settings, probability))
    rng = np.random.default_rng(3)
    crops = draw_views(BrainBoxes.of(scans), rng.integers(3, size=40), settings, rng)[0]
    beyond = Crops(
        np.array([0, 1]),
        np.array([[-2, -3, 20], [18, 25, -4]]),
        np.full((2, 3), [6, 10, 9]),
        np.zeros(2, bool),
        np.zeros(2),
    )
    crops = Crops.joined([crops, beyond])
    views = ScansOnDevice(scans, torch.device("cpu")).read(crops, settings.patch_size)
    for index, (start, size, mirrored) in enumerate(singles(crops)):
        scan = scans[crops.scan[index]]
        expected = read_view(scan, start, size, mirrored, settings.patch_size, crops.angle[index])
        torch.testing.assert_close(views[index], expected, atol=2e-3, rtol=0)
    assert crops.mirrored.any() and crops.angle.any() == bool(probability)


def test_local_views_come_from_the_slab_and_parent_of_their_pair(scan, make_settings):
    local = {"count": 3, "patch_size": [4, 8, 8], "scale": [0.8, 1.2]}
    settings = make_settings(local_views=local, independent_z=False)
    pairs, locals_ = draw_views(BrainBoxes.of([scan]), np.zeros(DRAWS, int), settings, np.random.default_rng(1))
    assert len(locals_) == 3 * DRAWS and len(pairs) == 2 * DRAWS
    assert (locals_.size[:, 0] == 4).all()
    assert locals_.size[:, 1:].min() == 6 and locals_.size[:, 1:].max() == 10
    low, high = np.array(scan.box).T
    assert (locals_.start >= low).all() and (locals_.start + locals_.size <= high).all()
    first = pairs.start[:DRAWS, 0]
    spread = locals_.start[:, 0].reshape(3, DRAWS) - first
    assert spread.min() >= -(settings.slab_slices - 6) and spread.max() <= settings.slab_slices - 4
    both = pairs.mirrored.reshape(2, DRAWS).any(0)
    assert not locals_.mirrored.reshape(3, DRAWS)[:, ~both].any()
    assert 0.35 < locals_.mirrored.reshape(3, DRAWS)[:, both].mean() < 0.65
