"""SynthStrip: whatever the grid of an image, the network sees it as it was trained, and the mask comes back to it."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.preprocess.networks import random_synthstrip, write_synthstrip
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.stripping.synthstrip import brain, conform, load_network

RADIUS_MM = 40.0
CENTRE_MM = np.array([7.0, -12.0, 20.0])
TO_NETWORK = np.array([[-1, 0, 0], [0, 0, -1], [0, 1, 0]])  # left, inferior, anterior in RAS


def grid(shape, spacing, *, turn=(0, 0, 0), axes=(0, 1, 2), flips=(1, 1, 1)):
    """A grid around `CENTRE_MM`, 3 mm off, turned by degrees, its axes swapped and flipped."""
    linear = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(flips).astype(float)
    linear = linear[:, axes] * spacing
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = CENTRE_MM + 3 - linear @ ((np.array(shape) - 1) / 2)
    return shape, affine


GRIDS = {
    "1 mm": grid((131, 127, 119), (1, 1, 1)),
    "LPS": grid((131, 127, 119), (1, 1, 1), flips=(-1, -1, 1)),
    "5 mm slices": grid((241, 239, 27), (0.55, 0.55, 5)),
    "4 mm, oblique": grid((121, 133, 33), (1.1, 1.1, 4), turn=(12, -9, 15)),
    "sagittal, oblique": grid((37, 141, 122), (4, 1.0, 1.2), turn=(-8, 5, 10), axes=(2, 0, 1), flips=(-1, 1, -1)),
    "wide field": grid((160, 60, 60), (2.5, 2.5, 2)),
}


def distance_to_ball(shape, affine, centre=CENTRE_MM, radius=RADIUS_MM):
    world = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]
    return np.linalg.norm(world - np.asarray(centre)[:, None, None, None], axis=0) - radius


def ball(shape, affine):
    """1000 in the ball, falling off over 2 mm to 0."""
    data = 1000 * np.clip(0.5 - distance_to_ball(shape, affine) / 2, 0, 1)
    return Volume(data.astype(np.float32), affine)


def seen_distance(tensor):
    """A network that knows the ball: the distance to the surface of what is bright, in voxels of its input."""
    bright = np.argwhere(tensor[0, 0].numpy() > 0.5)
    centre = (bright.min(axis=0) + bright.max(axis=0)) / 2
    index = np.indices(tensor.shape[2:], np.float32)
    distance = np.linalg.norm(index - centre[:, None, None, None], axis=0) - RADIUS_MM
    return torch.from_numpy(distance.astype(np.float32))[None, None]


@pytest.mark.parametrize("name", GRIDS)
def test_the_mask_comes_back_to_the_grid_of_the_image(name):
    shape, affine = GRIDS[name]
    mask = brain(seen_distance, ball(shape, affine), border_mm=0, threads=1)
    truth = distance_to_ball(shape, affine) < 0
    assert mask.shape == shape
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.98


@pytest.mark.parametrize("name", GRIDS)
def test_the_network_sees_1_mm_left_inferior_anterior(name):
    shape, affine = GRIDS[name]
    conformed = conform(ball(shape, affine))
    assert set(conformed.data.shape) <= {192, 256, 320}
    assert conformed.data.dtype == np.float32
    assert conformed.data.min() == 0
    assert conformed.data.max() == 1
    directions = conformed.affine[:3, :3]
    assert directions.T @ directions == pytest.approx(np.eye(3), abs=1e-6)
    assert (np.diag(TO_NETWORK @ directions) > 0.9).all()
    bright = conformed.data > 0.5
    assert np.count_nonzero(bright) / 1000 == pytest.approx(4 / 3 * np.pi * RADIUS_MM**3 / 1000, rel=0.03)
    world = conformed.affine @ [*np.argwhere(bright).mean(axis=0), 1]
    assert world[:3] == pytest.approx(CENTRE_MM, abs=0.5)


def test_a_border_moves_the_surface_outwards_by_that_many_mm():
    shape, affine = GRIDS["1 mm"]
    volumes = [brain(seen_distance, ball(shape, affine), border_mm=mm, threads=1).sum() for mm in (0, 1, 2)]
    radii = np.cbrt(np.array(volumes) * 3 / (4 * np.pi))
    assert radii == pytest.approx(RADIUS_MM + np.arange(3), abs=0.1)


def test_only_the_largest_piece_is_kept_and_its_holes_are_filled():
    shape, affine = GRIDS["1 mm"]

    def with_hole_and_crumb(tensor):
        distance = seen_distance(tensor)
        distance[0, 0, 90:100, 90:100, 90:100] = 3
        distance[0, 0, 2:6, 2:6, 2:6] = -3
        return distance

    whole, other = (brain(net, ball(shape, affine), 0, 1) for net in (seen_distance, with_hole_and_crumb))
    assert np.array_equal(whole, other)


def test_the_brightest_hundredth_does_not_set_the_scale():
    shape, affine = GRIDS["1 mm"]
    image = ball(shape, affine)
    image.data[60:64, 60:64, 60:64] = 1e6
    assert np.median(conform(image).data[conform(ball(shape, affine)).data > 0.9]) > 0.9


def test_the_weights_of_the_file_reach_the_network(tmp_path):
    network = random_synthstrip(seed=3)
    write_synthstrip(tmp_path / "weights.pt", network)
    image = torch.rand((1, 1, 64, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        answer, expected = load_network(tmp_path / "weights.pt")(image), network(image)
        other = random_synthstrip(seed=4)(image)
    assert (answer - expected).abs().max() < 1e-6 < (other - expected).abs().max()


@pytest.mark.parametrize("content", ["page", "cut short", "another network"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    write_synthstrip(path, random_synthstrip(seed=3))
    if content == "page":
        path.write_text("<html>not found</html>")
    elif content == "cut short":
        path.write_bytes(path.read_bytes()[:10_000])
    else:
        torch.save({"model_state_dict": torch.nn.Conv3d(1, 2, 3).state_dict()}, path)
    with pytest.raises(InputError, match=r"weights.pt holds no weights of SynthStrip"):
        load_network(path)


def test_an_empty_image_is_refused():
    with pytest.raises(InputError, match="nothing above 0"):
        brain(seen_distance, Volume(np.zeros((30, 30, 30), np.float32), np.eye(4)), 0, 1)
