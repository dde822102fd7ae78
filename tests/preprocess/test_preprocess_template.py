"""The template: symmetric and in HU when built, checked when given."""

import numpy as np
import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import load_volume
from workflow_scripts.preprocess.template import given_template


def test_the_built_template_is_symmetric_about_x_0_in_hu_and_stripped(template):
    image, brain = template
    assert np.allclose(image.data, np.flip(image.data, 0), atol=1e-3)
    assert np.array_equal(brain, np.flip(brain, 0))
    assert (image.affine @ [(image.data.shape[0] - 1) / 2, 0, 0, 1])[0] == pytest.approx(0, abs=1e-6)
    assert 25 < np.median(image.data[brain]) < 40
    assert 1200 < brain.sum() * image.voxel_ml < 2000
    assert (image.data[~brain] == 0).all()


def test_a_given_template_in_hu_is_taken_with_0_outside_its_brain(template):
    image, brain = template
    for mask in (None, image.with_data(brain.astype(np.float32))):
        filled = image.with_data(np.where(brain, image.data, -1000).astype(np.float32))
        taken, taken_brain = given_template(filled, mask)
        assert np.array_equal(taken_brain.data > 0, brain)
        assert np.array_equal(taken.data, np.where(brain, image.data, 0))


def test_cormack_units_are_refused(template):
    image, brain = template
    cormack = image.with_data(np.where(brain, image.data + 1024, 0).astype(np.float32))
    with pytest.raises(InputError, match=r"no HU of brain.*Cormack.*template in HU"):
        given_template(cormack, None)


def test_an_unstripped_template_is_refused(head):
    with pytest.raises(InputError, match=r"mL.*skull-stripped"):
        given_template(head.ct, None)


def test_a_template_off_the_midline_is_refused(template):
    image, brain = template
    affine = image.affine.copy()
    affine[0, 3] += 30
    shifted = type(image)(image.data, affine)
    with pytest.raises(InputError, match=r"x = 30 mm.*MNI"):
        given_template(shifted, type(image)(brain.astype(np.float32), affine))


def test_the_rorden_template_is_accepted_in_hu_and_refused_in_cormack_units(data):
    folder = data / "template_scct"
    mask = load_volume(folder / "scct_unsmooth_SS_0.01_Mask.nii.gz")
    _, brain = given_template(load_volume(folder / "scct_unsmooth_SS_0.01.nii.gz"), mask)
    assert 1200 < np.count_nonzero(brain.data) * brain.voxel_ml < 2000
    with pytest.raises(InputError, match="Cormack"):
        given_template(load_volume(folder / "scct_stripped.nii"), None)
