"""Pages show no face: on heads with nose, lips and ears, in several poses, also beside a brain mask that failed."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from workflow_scripts.common.volume import Volume, resample
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import upright_grid
from workflow_scripts.phantom.scanner.images import render
from workflow_scripts.phantom.scanner.scan import build_patient
from workflow_scripts.report.drawing.faces import without_face

VOXEL_MM = 3.0


@pytest.fixture(scope="module", params=["I01", "I02", "I03"])
def head(request) -> tuple[Volume, Volume]:
    patient = build_patient(build_anatomy(VOXEL_MM), plan_case("icoAIS", request.param, 2023))
    grid = upright_grid(patient, VOXEL_MM, VOXEL_MM)
    found = render(patient, {"hu": images.ct(), "brain": images.brain()}, grid.shape, grid.affine)
    return found["hu"], found["brain"].with_data((found["brain"].data > 0).astype(np.float32))


def skin(hu: np.ndarray) -> np.ndarray:
    """The voxels of the head that a line from one of four sides reaches first."""
    body, found = hu > -300, np.zeros(hu.shape, bool)
    for axis in (0, 1):
        for end in (1, -1):
            seen = np.flip(body, axis) if end < 0 else body
            first = (seen.cumsum(axis=axis) == 1) & seen
            found |= np.flip(first, axis) if end < 0 else first
    return found


def turned(volume: Volume, degrees: float) -> Volume:
    """The head with the chin up or down."""
    centre = volume.affine @ [*(np.array(volume.data.shape) / 2), 1]
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    turn[:3, 3] = (centre - turn @ centre)[:3]
    order = 0 if set(np.unique(volume.data)) <= {0, 1} else 1
    low = float(volume.data.min())
    return resample(volume, volume.data.shape, volume.affine, order=order, background=low, to_source=turn)


@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_no_skin_is_left_and_the_brain_with_its_skull_is(head, degrees):
    scan, mask = (turned(volume, degrees) for volume in head)
    bare = without_face(scan, mask).data
    air = scan.data.min()
    assert (bare[skin(scan.data)] == air).all()
    brain = mask.data > 0
    assert np.array_equal(bare[brain], scan.data[brain])
    near = ndimage.distance_transform_edt(~brain, sampling=scan.spacing) <= 4
    assert np.array_equal(bare[near], scan.data[near])


def test_nothing_in_front_of_and_below_the_brain_is_left(head):
    """Eyes, nose, cheeks and mouth lie there in every head, and 3 % of its tissue at least."""
    scan, mask = head
    bare = without_face(scan, mask).data
    points = np.indices(scan.data.shape).reshape(3, -1).T @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    along = (points @ [0, 1, -1]).reshape(scan.data.shape) / np.sqrt(2)
    face = (along > along[mask.data > 0].max() + 12) & (scan.data > -300)
    assert face.sum() > 0.03 * (scan.data > -300).sum()
    assert (bare[face] == scan.data.min()).all()


def test_what_a_mask_lost_is_still_seen(head):
    scan, mask = head
    middle = mask.data.shape[0] // 2
    half = mask.with_data(np.where(np.arange(mask.data.shape[0])[:, None, None] < middle, mask.data, 0))
    lost = (mask.data > 0) & (half.data == 0)
    assert (without_face(scan, half).data[lost] == scan.data[lost]).mean() > 0.9


def test_without_a_brain_nothing_is_shown(head):
    scan, mask = head
    assert len(np.unique(without_face(scan, mask.with_data(0 * mask.data)).data)) == 1
