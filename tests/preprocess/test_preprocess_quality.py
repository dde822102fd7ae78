"""The description of a case: its facts, the numbers that tell whether to trust it, and the flags made of them."""

import json

import numpy as np
import pytest
from scipy import ndimage

from tests.preprocess.settings import LIMIT_OPTIONS, LIMITS
from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.array_digests import image_digest
from workflow_scripts.common.files import write_json
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.preprocess import describe_case, finalise
from workflow_scripts.preprocess.quality import mri_fit
from workflow_scripts.preprocess.quality.brain_mask import end_share, tissue_beyond
from workflow_scripts.preprocess.quality.checks import checks, concern, flags
from workflow_scripts.preprocess.quality.lesion_mask import lesion_quality
from workflow_scripts.preprocess.quality.metal import metal_near
from workflow_scripts.preprocess.quality.skull import skull_gap_cm2

GOOD = {
    "brain_ml": 1400.0,
    "lesion_ml": 20.0,
    "missing_slices": 0,
    "broken_forms": 0,
    "hull_excess": 0.1,
    "cross_check_dice": 0.98,
    "tissue_beyond_mm": 1.0,
    "end_share": 0.1,
    "metal_ml": 0.0,
    "skull_gap_cm2": 0.0,
    "slice_mm": 5.0,
    "marks": [],
    "not_native": [],
    "gap_over_thickness": 1.0,
    "mri_offset_mm": 2.0,
    "mri_side_ratio": 1.3,
    "contralateral": {"doubts": []},
    "registration": {"doubts": [], "deformation_mm": 0.4},
    "lesion_outside_brain_fraction": 0.0,
    "lesion_darker_hu": 4.0,
}
WORSE = [
    ({"cross_check_dice": 0.9}, "brain masks disagree"),
    ({"hull_excess": 0.3}, "brain mask not convex"),
    ({"brain_ml": 600.0}, "brain volume"),
    ({"brain_ml": 2400.0}, "brain volume"),
    ({"tissue_beyond_mm": 7.0}, "brain mask too small"),
    ({"end_share": 0.6}, "brain cut off"),
    ({"metal_ml": 0.2}, "metal near the brain"),
    ({"marks": ["overlay"]}, "identity in the pixels"),
    ({"contralateral": {"doubts": ["template stretch"]}}, "mirroring implausible"),
    ({"registration": {"doubts": ["rotation"], "deformation_mm": 0.4}}, "registration implausible"),
    ({"missing_slices": 1}, "slices missing"),
    ({"not_native": ["monoenergetic"]}, "no native CT"),
    ({"broken_forms": 1}, "header half broken"),
    ({"skull_gap_cm2": 60.0}, "skull defect"),
    ({"slice_mm": 10.0}, "thick slices"),
    ({"gap_over_thickness": 2.0}, "gaps between slices"),
    ({"registration": {"doubts": [], "deformation_mm": 2.1}}, "MRI of another shape"),
    ({"mri_offset_mm": 12.0}, "MRI misplaced"),
    ({"mri_side_ratio": 0.7}, "MRI fits mirrored NCCT as well"),
    ({"lesion_ml": 900.0}, "lesion of half the brain"),
    ({"lesion_outside_brain_fraction": 0.2}, "lesion outside brain"),
    ({"lesion_darker_hu": -5.0}, "lesion on the brighter side"),
]
LACKING = dict.fromkeys(
    ("cross_check_dice", "metal_ml", "skull_gap_cm2", "registration", "mri_offset_mm", "mri_side_ratio")
)


@pytest.mark.parametrize(("change", "flag"), WORSE)
def test_each_suspicion_has_its_flag_and_a_good_case_none(change, flag):
    assert flags(checks(GOOD, LIMITS)) == []
    assert flags(checks(GOOD | change, LIMITS)) == [flag]


@pytest.mark.parametrize("change", [change for change, _ in WORSE])
def test_concern_exceeds_1_exactly_with_a_flag(change):
    assert concern(checks(GOOD, LIMITS)) < 1 < concern(checks(GOOD | change, LIMITS))


def test_a_value_at_its_limit_is_not_flagged_and_has_level_1():
    at_limit = GOOD | {"cross_check_dice": 0.93, "hull_excess": 0.25, "brain_ml": 800.0, "lesion_darker_hu": -2.0}
    judged = checks(at_limit, LIMITS)
    assert flags(judged) == []
    assert concern(judged) == 1


def test_the_farther_beyond_its_limit_the_more_alarming():
    levels = [concern(checks(GOOD | {"cross_check_dice": dice}, LIMITS)) for dice in (0.9, 0.8, 0.5, 0.0)]
    assert levels == sorted(levels)
    assert len(set(levels)) == 4 or levels[-1] == 10


def test_flags_stand_in_the_order_of_alarm():
    judged = checks(GOOD | {"hull_excess": 0.26, "end_share": 0.9}, LIMITS)
    assert flags(judged) == ["brain cut off", "brain mask not convex"]


def test_a_misplaced_mri_is_not_called_another_head():
    assert flags(checks(GOOD | {"mri_offset_mm": 14.0, "mri_side_ratio": 0.6}, LIMITS)) == ["MRI misplaced"]


def test_what_a_case_does_not_have_is_not_held_against_it():
    assert flags(checks(GOOD | LACKING, LIMITS)) == []


def test_a_brain_mask_without_a_hull_is_flagged():
    assert flags(checks(GOOD | {"hull_excess": None}, LIMITS)) == ["brain mask not convex"]


@pytest.mark.parametrize("eroded_mm", [0, 10])
def test_soft_tissue_beyond_the_mask_is_what_was_eroded(eroded_mm):
    """A ball of brain of 60 mm in a skull of 8 mm, 2 mm voxels."""
    radius = np.linalg.norm(np.indices((80, 80, 80)) * 2.0 - 79.0, axis=0)
    head = Volume(np.where(radius < 60, 35.0, np.where(radius < 68, 900.0, -1000.0)), np.diag([2.0, 2, 2, 1]))
    found = tissue_beyond(head, radius < 60 - eroded_mm)
    assert found == pytest.approx(eroded_mm, abs=2)


AT = {  # where metal lies on the way from the middle of the head (0) to the brain's surface (1), and its radius in mm
    "clip at the skull base": ((0.1, 0.2, -0.6), 4.0),
    "coil": ((-0.3, 0.1, -0.2), 8.0),
    "plate over the vault": ((0.6, 0.3, 0.8), 6.0),
    "valve of a shunt behind the ear": ((0.9, -0.7, -0.2), 7.0),
}


@pytest.mark.parametrize("place", AT)
def test_metal_near_the_brain_is_found_and_teeth_and_bone_are_not(place):
    """A ball of brain of 60 mm in a skull of 8 mm with scalp; dense bone everywhere, teeth 40 mm below the brain."""
    points = np.indices((90, 90, 110)) * 2.0 - np.array([89, 89, 129.0])[:, None, None, None]
    radius = np.linalg.norm(points, axis=0)
    hu = np.where(radius < 60, 35.0, np.where(radius < 68, 2200.0, np.where(radius < 74, 40.0, -1000.0)))
    hu[np.linalg.norm(points - np.array([0, 40, -110.0])[:, None, None, None], axis=0) < 9] = 3071.0
    head = Volume(hu, np.diag([2.0, 2, 2, 1]))
    assert metal_near(head, radius < 60) == 0
    direction, size = AT[place]
    centre = 66 * np.array(direction)[:, None, None, None]
    implant = np.linalg.norm(points - centre, axis=0) < size
    with_metal = head.with_data(np.where(implant, 3071.0, hu))
    expected = 4 / 3 * np.pi * size**3 / 1000
    assert metal_near(with_metal, (radius < 60) & ~implant) == pytest.approx(expected, rel=0.3)
    assert metal_near(with_metal, (radius < 60) & (points[0] > 0)) > LIMITS.max_metal_ml  # a mask that lost a half


GAPS = {  # place of a hole in the skull, in units of its radius, its width in mm, and whether it is to be flagged
    "hemicraniectomy": ((0.8, 0.1, 0.6), 50.0, True),
    "burr hole": ((0.3, 0.5, 0.8), 6.0, False),
    "foramen magnum": ((0.0, -0.2, -1.0), 20.0, False),
}


@pytest.mark.parametrize("place", GAPS)
def test_a_hole_in_the_vault_is_measured_also_where_the_mask_lost_a_wedge(place):
    """A ball of brain of 60 mm in a skull of 8 mm with scalp; under the hole the mask may end 8 mm too deep."""
    points = np.indices((90, 90, 90)) * 2.0 - 89.0
    radius = np.linalg.norm(points, axis=0)
    hu = np.where(radius < 60, 35.0, np.where(radius < 68, 900.0, np.where(radius < 74, 40.0, -1000.0)))
    affine = np.diag([-2.0, 2, 2, 1])
    assert skull_gap_cm2(Volume(hu, affine), radius < 60) == 0
    direction, width, flagged = GAPS[place]
    direction = np.array(direction) / np.linalg.norm(direction)
    aside = np.linalg.norm(points - np.tensordot(points, direction, (0, 0)) * direction[:, None, None, None], axis=0)
    hole = (aside < width) & (np.tensordot(direction, points, 1) > 0)
    head = Volume(np.where(hole & (radius < 68), 35.0, hu), affine)
    found = [skull_gap_cm2(head, (radius < 60) & ~(hole & (radius > 60 - wedge))) for wedge in (0, 8)]
    if flagged:
        cap = 2 * np.pi * 60**2 * (1 - np.sqrt(1 - (width / 68) ** 2)) / 100
        assert found[0] == pytest.approx(cap, rel=0.25)
        assert found[1] > 0.5 * cap
    else:
        assert max(found) < LIMITS.max_skull_gap_cm2


def test_a_scan_that_ends_inside_the_head_has_no_hole_there():
    radius = np.linalg.norm(np.indices((90, 90, 60)) * 2.0 - 89.0, axis=0)
    hu = np.where(radius < 60, 35.0, np.where(radius < 68, 900.0, -1000.0))
    assert skull_gap_cm2(Volume(hu, np.diag([2.0, 2, 2, 1])), radius < 60) == 0


def test_a_dome_ends_in_little_and_a_cut_brain_in_much():
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0) < 18
    assert end_share(ball) < 0.15
    cut = ball.copy()
    cut[:, :, 28:] = False
    assert end_share(cut) == pytest.approx(1 - (8 / 18) ** 2, abs=0.05)
    assert end_share(np.zeros((4, 4, 4), bool)) == 0


def test_a_lesion_on_the_dark_side_is_positive(head):
    lesion = np.zeros(head.brain.shape, np.uint8)
    lesion[tuple(np.argwhere(head.brain)[:100].T)] = 1
    difference = np.where(lesion > 0, 6.0, -6.0)
    difference[tuple(np.argwhere(lesion)[:40].T)] = 0  # no counterpart there
    assert lesion_quality(lesion > 0, head.brain, difference)["lesion_darker_hu"] == 6
    assert set(lesion_quality(np.zeros_like(head.brain), head.brain, difference).values()) == {None}


# A brain of smooth random structure, and an MRI that shows the same structure in another, folded contrast.
INSIDE = np.linalg.norm((np.indices((54, 60, 48)) - [[[[26.5]]], [[[29.5]]], [[[23.5]]]]) / 22, axis=0) < 1


def structure(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(INSIDE.shape), 2.0)
    return noise / noise[INSIDE].std()


@pytest.fixture(scope="module")
def ncct() -> Volume:
    return Volume(np.where(INSIDE, 35 + 5 * structure(1), -100), np.diag([3.0, 3, 3, 1]))


def mri_of(ncct: Volume, seed: int = 1) -> Volume:
    noise = np.random.default_rng(9).normal(0, 20, INSIDE.shape)
    signal = 300 + 60 * (structure(seed) + 0.6) ** 2 + noise
    return ncct.with_data(np.where(INSIDE, np.maximum(signal, 1), 0))


@pytest.mark.parametrize("shift", [(0, 0, 0), (15, 0, 0), (0, -9, 12), (6, 6, 6)])
def test_the_offset_is_the_shift_of_the_mri(ncct, shift):
    mri = mri_of(ncct)
    moved = mri.affine.copy()
    moved[:3, 3] += shift
    found = mri_fit.offset_mm(ncct, INSIDE, Volume(mri.data, moved))
    assert found == pytest.approx(np.linalg.norm(shift), abs=2.5)


def test_the_ratio_tells_the_same_the_mirrored_and_another_head_apart(ncct):
    mirrored = ncct.with_data(ncct.data[::-1])
    same, other = mri_of(ncct), mri_of(ncct, seed=2)
    swapped = same.with_data(same.data[::-1])
    assert mri_fit.side_ratio(ncct, mirrored, INSIDE, same) > 2
    assert mri_fit.side_ratio(ncct, mirrored, INSIDE, swapped) < 0.5
    assert mri_fit.side_ratio(ncct, mirrored, INSIDE, other) == pytest.approx(1, abs=0.5)


def test_without_voxels_to_compare_there_is_no_ratio(ncct):
    assert mri_fit.side_ratio(ncct, ncct, INSIDE, ncct.with_data(0 * ncct.data)) is None


def test_the_command_tells_facts_and_quality_of_a_case_apart(head, stripped, tmp_path):
    final = finalise.finalise(stripped, stripped, head.brain, (-100.0, 400.0), margin=2)
    lesion = np.zeros(final.brain.data.shape, np.uint8)
    lesion[tuple(np.argwhere(final.brain.data)[:50].T)] = 1
    lesion[0, 0, :10] = 1
    images = {"lesion": final.ncct.with_data(lesion)}
    images |= {name: getattr(final, name) for name in ("ncct", "mirrored", "difference", "brain")}
    options = ["--cohort", "c", "--case", "k", "--to-template", str(tmp_path / "to_template.txt")]
    for name, volume in images.items():
        kind = np.uint8 if name in ("brain", "lesion") else np.float32
        save_volume(tmp_path / f"{name}.nii.gz", volume, kind)
        options += [f"--{name}", str(tmp_path / f"{name}.nii.gz")]
    write_affine(tmp_path / "to_template.txt", head.to_template, "the NCCT", "the template")
    acquired = describe(Stack.of_grid((9, 9, 9), np.diag([0.5, 0.5, 5, 1])))
    facts = {
        "pixel_digest": "abc",
        "marks": [],
        "not_native": [],
        "gap_over_thickness": None,
        "slices": {"missing": 0, "lost_at_the_ends": 0},
    }
    write_json(tmp_path / "ingest.json", {**acquired, **facts})
    brain_facts = {"hull_excess": 0.1, "cross_check_dice": 0.98, "tissue_beyond_mm": 1.0, "metal_ml": 0.0}
    brain_facts["skull_gap_cm2"] = 0.0
    write_json(tmp_path / "brain.json", {"brain_ml": 1400.0, **brain_facts})
    write_json(tmp_path / "contralateral.json", {"doubts": []})
    for name in ("ingest", "brain", "contralateral"):
        options += [f"--{name}-json", str(tmp_path / f"{name}.json")]
    describe_case.main([*options, *LIMIT_OPTIONS, "--out", str(tmp_path / "case.json")])
    described = json.loads((tmp_path / "case.json").read_text())
    facts, quality = described["facts"], described["quality"]
    assert set(facts) == {"cohort", "case", "brain_ml", "lesion_ml", "side", "pixel_digest", "final_digest"}
    assert not set(facts) & set(quality)
    assert facts["lesion_ml"] == pytest.approx(60 * 0.064)
    assert facts["pixel_digest"] == "abc"
    assert facts["final_digest"] == image_digest(load_volume(tmp_path / "ncct.nii.gz").data)
    assert quality["lesion_outside_brain_fraction"] == pytest.approx(10 / 60)
    assert quality["flags"] == ["lesion outside brain"]
    assert quality["concern"] == pytest.approx(10 / 60 / 0.1)
    assert quality["registration"] is None
    assert quality["slice_mm"] == 5
    assert quality["mri_offset_mm"] is None


def test_the_digest_tells_images_apart_and_ignores_less_than_half_a_hu():
    image = np.arange(24.0).reshape(2, 3, 4)
    assert image_digest(image) == image_digest(image + 0.3)
    assert len({image_digest(image), image_digest(image + 1), image_digest(image.reshape(4, 3, 2))}) == 3
