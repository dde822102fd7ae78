"""The contralateral image: homologous places meet, in one interpolation, without a second step."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.preprocess.settings import REGISTRATION_OPTIONS
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.preprocess import contralateral
from workflow_scripts.preprocess.contralateral import (
    FLIP,
    mirror_by_midplane,
    mirror_by_template,
    mirrored_brain,
    return_distance,
)
from workflow_scripts.preprocess.registration.intensities import ct_for_registration
from workflow_scripts.preprocess.registration.midplane import find_midplane, plane_of

from .conftest import SPACING_MM


@pytest.fixture(scope="module", params=["template", "midplane"])
def mirror(request, head, stripped, template, settings):
    clipped = ct_for_registration(stripped, head.brain, settings.window_hu, settings.background_hu)
    if request.param == "midplane":
        return mirror_by_midplane(clipped, head.brain)
    return mirror_by_template(clipped, head.brain, *template, settings)


@pytest.fixture(scope="module")
def true_mirror(head) -> np.ndarray:
    return np.linalg.inv(head.to_template) @ FLIP @ head.to_template


def brain_points(head) -> np.ndarray:
    return head.ct.affine @ np.column_stack([np.argwhere(head.brain), np.ones(head.brain.sum())]).T


def test_every_point_of_the_brain_meets_its_counterpart_within_a_voxel(head, mirror, true_mirror):
    points = brain_points(head)
    error = np.linalg.norm(((mirror.ncct_to_counterpart - true_mirror) @ points)[:3], axis=0)
    assert error.mean() < SPACING_MM / 2
    assert error.max() < SPACING_MM
    assert mirror.facts["doubts"] == []


def test_left_and_right_of_the_midline_lie_on_either_side_of_x_0(head, mirror):
    """Within a voxel: the sign of x in the template's frame, or in that of the midplane, tells the side."""
    points = brain_points(head)
    true, found = (matrix[0] @ points for matrix in (head.to_template, mirror.ncct_to_template))
    assert np.abs(true - found).mean() < SPACING_MM
    clear = np.abs(true) > SPACING_MM
    assert (np.sign(true) == np.sign(found))[clear].all()


def test_the_mirrored_brain_resembles_the_head_more_than_a_flip_of_the_array_does(head, stripped, mirror):
    mirrored = mirrored_brain(stripped, head.brain, mirror.ncct_to_counterpart, -100).data
    flipped = np.flip(stripped.data, 0)
    likeness = []
    for other in (mirrored, flipped):
        both = head.brain & (other > -100)
        likeness.append(np.corrcoef(stripped.data[both], other[both])[0, 1])
    assert likeness[0] > likeness[1] + 0.1


def test_a_marker_on_the_left_appears_at_the_homologous_place_on_the_right(head, stripped, mirror):
    to_head = np.linalg.inv(head.to_template)
    left, right = (to_head @ [x, -20, 20, 1] for x in (-38.0, 38.0))
    positions = np.moveaxis(np.indices(stripped.data.shape), 0, -1) @ head.ct.affine[:3, :3].T + head.ct.affine[:3, 3]
    marker = np.linalg.norm(positions - left[:3], axis=-1) < 9
    marked = stripped.with_data(np.where(marker, np.float32(300), stripped.data))
    image = mirrored_brain(marked, head.brain, mirror.ncct_to_counterpart, -100)
    bright = np.argwhere(image.data > 150)
    centre = (head.ct.affine @ [*bright.mean(axis=0), 1])[:3]
    assert np.linalg.norm(centre - right[:3]) < SPACING_MM


def test_mirroring_keeps_to_the_brain_and_mixes_in_nothing_from_outside(head, mirror):
    constant = head.ct.with_data(np.where(head.brain, np.float32(30), np.float32(2000)))
    image = mirrored_brain(constant, head.brain, mirror.ncct_to_counterpart, -100).data
    assert (image[~head.brain] == -100).all()
    assert np.allclose(image[image != -100], 30, atol=1e-3)
    assert (image[head.brain] != -100).mean() > 0.93


def test_the_plane_of_an_oblique_mirror_is_the_one_that_it_leaves_where_it_is(head, true_mirror):
    plane = plane_of(true_mirror, head.brain, head.ct.affine)
    on_plane = np.linalg.inv(head.to_template) @ [[0, 0, 0], [-60, 0, 40], [0, 50, -30], [1, 1, 1]]
    assert np.allclose(plane.normal @ (on_plane[:3] - plane.point[:, None]), 0, atol=1e-6)


@pytest.mark.parametrize("degrees", [(15, -15), (-15, -15), (20, 10)])
def test_the_plane_is_found_in_a_head_that_is_turned_far(head, stripped, settings, degrees):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("yz", degrees, degrees=True).as_matrix()
    clipped = ct_for_registration(stripped, head.brain, settings.window_hu, settings.background_hu)
    plane, _ = find_midplane(Volume(clipped.data, turn @ clipped.affine), head.brain)
    across = turn[:3, :3] @ head.to_template[0, :3]
    assert np.degrees(np.arccos(plane.normal @ across / np.linalg.norm(across))) < 1


def test_a_mask_that_lost_most_of_the_brain_is_mirrored_with_doubts_and_stops_nothing(head, template, settings):
    slices = np.indices(head.brain.shape)[2]
    mask = head.brain & (slices < np.median(slices[head.brain]) - 8)
    rest = head.ct.with_data(np.where(mask, head.ct.data, np.float32(-100)))
    clipped = ct_for_registration(rest, mask, settings.window_hu, settings.background_hu)
    doubts = mirror_by_template(clipped, mask, *template, settings).facts["doubts"]
    assert {"template stretch", "template overlap"} <= set(doubts)


def test_a_perfect_mirror_leads_back_and_a_shifted_one_does_not(head, true_mirror):
    shifted = true_mirror.copy()
    shifted[1, 3] += 5
    assert return_distance(true_mirror, head.brain, head.ct.affine) == pytest.approx(0, abs=1e-6)
    assert return_distance(shifted, head.brain, head.ct.affine) > 5


@pytest.mark.parametrize("method", ["template", "midplane"])
def test_the_command_writes_the_same_bytes_twice(head, stripped, template, tmp_path, method):
    save_volume(tmp_path / "ncct.nii.gz", stripped)
    save_volume(tmp_path / "brain.nii.gz", head.ct.with_data(head.brain), np.uint8)
    save_volume(tmp_path / "template.nii.gz", template[0])
    save_volume(tmp_path / "template_mask.nii.gz", template[0].with_data(template[1]), np.uint8)
    inputs = {"ncct": "ncct", "brain": "brain"}
    if method == "template":
        inputs |= {"template": "template", "template-mask": "template_mask"}
    options = [word for key, name in inputs.items() for word in (f"--{key}", str(tmp_path / f"{name}.nii.gz"))]
    outputs = {"affine": "affine.txt", "image": "image.nii.gz", "json": "facts.json"}
    written = []
    for turn in ("first", "second"):
        named = [word for key, name in outputs.items() for word in (f"--out-{key}", str(tmp_path / turn / name))]
        fixed = ["--cohort", "c", "--case", "k", "--background", "-100", *REGISTRATION_OPTIONS]
        contralateral.main([*fixed, *options, *named])
        written.append([(tmp_path / turn / name).read_bytes() for name in outputs.values()])
    assert written[0] == written[1]
    assert load_volume(tmp_path / "first" / "image.nii.gz").data.shape == stripped.data.shape
    assert read_affine(tmp_path / "first" / "affine.txt").shape == (4, 4)
    facts = json.loads((tmp_path / "first" / "facts.json").read_text())
    assert facts["return_mm"] < SPACING_MM
    assert facts["method"] == method
    point, normal = (np.array(facts["midplane_ras_mm"][name]) for name in ("point", "normal"))
    length = np.linalg.norm(head.to_template[0, :3])
    assert np.degrees(np.arccos(normal @ head.to_template[0, :3] / length)) < 1
    assert abs(head.to_template[0] @ [*point, 1]) / length < 1
