"""Brain masks: both embedded methods find the brain of a head whose brain is known, and fail in plain words."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.preprocess.networks import bright_is_brain, write_synthstrip
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.masks import dice
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.preprocess import brain_mask, prepare_mri
from workflow_scripts.preprocess.stripping.methods import StrippingSettings, ncct_brain, pseudo_t1
from workflow_scripts.preprocess.stripping.tissue import padding
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.preprocess.voxels.morphology import hull_excess

GRID = 160
SETTINGS = StrippingSettings(threads=1, deepbet_grid=GRID, border_mm=0)


def find(method, ct, padded):
    return ncct_brain(method, ct, pseudo_t1(method, ct, padded, SETTINGS), padded, SETTINGS)


@pytest.mark.parametrize("method", ["hu", "deepbet"])
def test_a_method_finds_the_brain_and_nothing_else(head, method):
    unpadded = np.zeros(head.ct.data.shape, bool)
    found = find(method, head.ct, unpadded)
    assert dice(found, head.brain) > 0.93


@pytest.mark.parametrize("fill", [0, -1024])
@pytest.mark.parametrize("method", ["hu", "deepbet"])
def test_the_fill_of_a_stripped_scan_is_no_tissue(head, method, fill):
    bare = head.ct.with_data(np.where(head.brain, head.ct.data, np.float32(fill)))
    padded = padding(bare.data)
    assert np.array_equal(padded, ~head.brain)
    found = find(method, bare, padded)
    assert dice(found, head.brain) > 0.93
    assert not (found & padded).any()


def test_the_fill_is_still_known_after_resampling(head):
    bare = head.ct.with_data(np.where(head.brain, head.ct.data, np.float32(0)))
    coarse = resample_isotropic(bare, 6.0, antialias=True, background=-1024, measured=~padding(bare.data))
    outside = padding(coarse.data)
    assert (coarse.data[~outside] > -50).all()
    assert 0.8 < np.count_nonzero(~outside) * coarse.voxel_ml / (head.brain.sum() * head.ct.voxel_ml) < 1.1


def test_noise_up_to_the_edge_is_no_fill():
    assert not padding(np.random.default_rng(0).normal(30, 5, (20, 20, 20))).any()


@pytest.mark.parametrize("method", ["synthstrip", "synthsr+synthstrip"])
def test_a_published_network_without_its_file_is_refused_and_never_replaced(head, method):
    with pytest.raises(InputError, match=r"weights of synth\w+ are not given"):
        find(method, head.ct, np.zeros(head.ct.data.shape, bool))


@pytest.mark.parametrize("method", ["hu", "deepbet"])
def test_a_scan_without_a_head_is_refused(method):
    air = Volume(np.full((40, 40, 40), -1000, np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    with pytest.raises(InputError, match="no brain"):
        find(method, air, np.zeros(air.data.shape, bool))


def test_a_ball_has_no_hull_excess_and_two_balls_have_much():
    x, y, z = np.indices((60, 40, 40)) - 20
    ball = x**2 + y**2 + z**2 <= 14**2
    other = (x - 22) ** 2 + y**2 + z**2 <= 6**2
    assert hull_excess(ball) == pytest.approx(0, abs=0.06)
    assert hull_excess(ball | other) > 0.2
    assert hull_excess(np.zeros((4, 4, 4), bool)) is None


def command(ncct, folder, *options):
    """Run the command line into a folder; returns the bytes that it wrote."""
    arguments = "--cohort c --case k --cross-check hu --background -100 --threads 1 --border-mm 0".split()
    arguments += ["--deepbet-grid", str(GRID), "--ncct", str(ncct)]
    names = {"pseudo-t1": "t1.nii.gz", "mask": "mask.nii.gz", "stripped": "stripped.nii.gz", "json": "mask.json"}
    outputs = [word for key, name in names.items() for word in (f"--out-{key}", str(folder / name))]
    brain_mask.main([*arguments, *outputs, *options])
    return [(folder / name).read_bytes() for name in names.values()]


def test_the_command_writes_mask_stripped_image_and_facts_the_same_twice(head, tmp_path):
    save_volume(tmp_path / "ncct.nii.gz", head.ct)
    written = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        arguments = (
            "--cohort c --case k --method deepbet --cross-check hu --background -100 --threads 1 --border-mm 0".split()
        )
        arguments += ["--deepbet-grid", str(GRID), "--ncct", str(tmp_path / "ncct.nii.gz")]
        names = {"pseudo-t1": "t1.nii.gz", "mask": "mask.nii.gz", "stripped": "stripped.nii.gz", "json": "mask.json"}
        brain_mask.main(arguments + [w for key, name in names.items() for w in (f"--out-{key}", str(folder / name))])
        written.append([(folder / name).read_bytes() for name in names.values()])
    assert written[0] == written[1]

    facts = json.loads((folder / "mask.json").read_text())
    mask = nib.load(folder / "mask.nii.gz")
    inside = np.asarray(mask.dataobj) > 0
    stripped = np.asarray(nib.load(folder / "stripped.nii.gz").dataobj)
    assert mask.get_data_dtype() == np.uint8
    assert facts["brain_ml"] == pytest.approx(inside.sum() * 0.064)
    assert facts["cross_check_dice"] > 0.93
    assert (stripped[~inside] == -100).all()
    assert np.array_equal(stripped[inside], head.ct.data[inside])


def test_a_given_mask_is_taken_and_the_record_says_so(head, tmp_path):
    """On a grid of its own, 2 mm finer, and 8 mm smaller than what any method would find."""
    save_volume(tmp_path / "ncct.nii.gz", head.ct)
    drawn = ndimage.binary_erosion(head.brain, iterations=2)
    fine = np.diag([2.0, 2, 2, 1])
    fine[:3, 3] = head.ct.affine[:3, 3] - 1
    drawn_fine = drawn.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    save_volume(tmp_path / "given.nii.gz", Volume(drawn_fine.astype(np.uint8), fine))
    common = "--cohort c --case k --method synthsr+synthstrip --cross-check hu --background -100 --threads 1".split()
    common += ["--border-mm", "0", "--deepbet-grid", str(GRID)]
    common += ["--ncct", str(tmp_path / "ncct.nii.gz"), "--given", str(tmp_path / "given.nii.gz")]
    names = {"pseudo-t1": "t1.nii.gz", "mask": "mask.nii.gz", "stripped": "stripped.nii.gz", "json": "mask.json"}
    brain_mask.main(common + [w for key, name in names.items() for w in (f"--out-{key}", str(tmp_path / name))])
    facts = json.loads((tmp_path / "mask.json").read_text())
    found = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj) > 0
    assert dice(found, drawn) > 0.99
    assert (np.asarray(nib.load(tmp_path / "stripped.nii.gz").dataobj)[~drawn & ~found] == -100).all()
    assert (facts["method"], facts["weights_sha256"], facts["cross_check_dice"]) == ("given", {}, None)


def test_the_command_runs_synthstrip_on_the_ct_itself(head, tmp_path):
    part = Volume(head.ct.data[8:48, 10:50, 10:50], head.ct.affine)
    save_volume(tmp_path / "ncct.nii.gz", part)
    write_synthstrip(tmp_path / "weights.pt", bright_is_brain())
    command(
        tmp_path / "ncct.nii.gz",
        tmp_path,
        "--method",
        "synthstrip",
        "--synthstrip-weights",
        str(tmp_path / "weights.pt"),
    )
    mask = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj) > 0
    # What is bright in a CT is bone, and what it encloses counts as a hole.
    assert mask[part.data > 700].mean() > 0.9
    assert mask[part.data < -900].mean() < 0.1
    assert set(json.loads((tmp_path / "mask.json").read_text())["weights_sha256"]) == {"synthstrip"}


def test_a_stripped_mri_is_left_as_it_is(head, tmp_path):
    mri = head.ct.with_data(np.where(head.brain, np.float32(500), np.float32(0)))
    save_volume(tmp_path / "dwi.nii.gz", mri)
    arguments = "--cohort c --case k --spacing 4 --antialias --method none".split()
    arguments += "--deepbet-grid 160 --border-mm 0 --threads 1".split()
    arguments += ["--mri", str(tmp_path / "dwi.nii.gz")]
    outputs = [tmp_path / "resampled.nii.gz", tmp_path / "stripped.nii.gz"]
    prepare_mri.main([*arguments, "--out-resampled", str(outputs[0]), "--out-stripped", str(outputs[1])])
    assert np.array_equal(np.asarray(nib.load(outputs[1]).dataobj), mri.data)
