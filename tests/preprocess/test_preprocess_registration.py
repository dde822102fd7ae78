"""Registration recovers what is known, repeats itself to the byte, and says when it cannot be right."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.metrics import mutual_info_score

from tests.preprocess.settings import LIMITS, REGISTRATION_OPTIONS
from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_yaml
from workflow_scripts.common.masks import dice
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, resample, save_volume, to_ras
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.preprocess import apply_registration, register_mri
from workflow_scripts.preprocess.lesion import lesion_on_grid
from workflow_scripts.preprocess.registration import elastix
from workflow_scripts.preprocess.registration.elastix import register_affine
from workflow_scripts.preprocess.registration.intensities import ct_for_registration, registration_mask
from workflow_scripts.preprocess.registration.plausibility import affine_facts, deformation_mm, doubts
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.preprocess.stripping.tissue import brain_by_threshold
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.preprocess.voxels.information import mutual_information

from .conftest import SPACING_MM
from .pairs import make_pair, target_errors


@pytest.fixture(scope="module")
def mri_to_ncct() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [-9, 5, 12], degrees=True).as_matrix()
    matrix[:3, 3] = [12, -8, 15]
    return matrix


@pytest.fixture(scope="module")
def mri(head, stripped, mri_to_ncct) -> Volume:
    """The brain of the head with the contrast of an MRI, on a grid of its own: inverted, other spacing and pose."""
    contrast = head.ct.with_data(np.where(head.brain, 900 - 15 * np.clip(stripped.data, 0, 50), 0).astype(np.float32))
    affine = np.diag([3.5, 3.5, 5.0, 1.0])
    affine[:3, :3] = Rotation.from_euler("x", -10, degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = [-110, -125, -120]
    return resample(contrast, (64, 70, 52), affine, order=1, background=0, to_source=mri_to_ncct)


@pytest.fixture
def files(head, stripped, mri, tmp_path):
    """Write the images of a case; return the options that name them."""
    save_volume(tmp_path / "ncct.nii.gz", stripped)
    save_volume(tmp_path / "brain.nii.gz", head.ct.with_data(head.brain), np.uint8)
    save_volume(tmp_path / "mri.nii.gz", mri)
    return ["--cohort", "c", "--case", "k"] + [
        word for name in ("ncct", "brain", "mri") for word in (f"--{name}", str(tmp_path / f"{name}.nii.gz"))
    ]


def target_error(head, found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance in mm, over the brain, between where two transforms put a point of the MRI."""
    points = head.ct.affine @ np.column_stack([np.argwhere(head.brain), np.ones(head.brain.sum())]).T
    in_mri = np.linalg.inv(true) @ points
    return float(np.linalg.norm((found @ in_mri - points)[:3], axis=0).max())


def run_registration(files, folder, *more: str) -> tuple[bytes, bytes]:
    outputs = folder / "mri_to_ncct.txt", folder / "mri_to_ncct.json"
    options = ["--out-affine", str(outputs[0]), "--out-json", str(outputs[1])]
    register_mri.main([*files, *REGISTRATION_OPTIONS, *options, *more])
    return outputs[0].read_bytes(), outputs[1].read_bytes()


def test_a_known_transform_is_recovered_within_a_voxel_and_nothing_is_doubted(files, head, mri_to_ncct, tmp_path):
    run_registration(files, tmp_path)
    assert target_error(head, read_affine(tmp_path / "mri_to_ncct.txt"), mri_to_ncct) < SPACING_MM
    facts = json.loads((tmp_path / "mri_to_ncct.json").read_text())
    assert facts["doubts"] == []
    assert facts["determinant"] == pytest.approx(1, abs=0.05)
    assert facts["deformation_mm"] < LIMITS.max_mri_deformation_mm
    assert facts["mutual_information"]["after"] > 2 * facts["mutual_information"]["before"]


def test_the_same_images_give_the_same_bytes_also_later_in_one_process(files, tmp_path):
    assert run_registration(files, tmp_path) == run_registration(files, tmp_path)


def test_another_process_gives_the_same_bytes(files, tmp_path):
    here = run_registration(files, tmp_path)
    outputs = ["--out-affine", str(tmp_path / "other.txt"), "--out-json", str(tmp_path / "other.json")]
    program = [sys.executable, "-m", "workflow_scripts.preprocess.register_mri"]
    subprocess.run([*program, *files, *REGISTRATION_OPTIONS, *outputs], check=True, cwd=ROOT)
    assert ((tmp_path / "other.txt").read_bytes(), (tmp_path / "other.json").read_bytes()) == here


def test_the_file_names_its_direction_and_coordinates(files, tmp_path):
    text = run_registration(files, tmp_path, "--aligned")[0].decode()
    assert text.startswith("# affine, world coordinates LPS, mm; maps points of the MRI to points of the NCCT\n")


def test_images_said_to_be_aligned_get_the_identity_and_the_record_says_why(files, tmp_path):
    run_registration(files, tmp_path, "--aligned")
    assert np.array_equal(read_affine(tmp_path / "mri_to_ncct.txt"), np.eye(4))
    facts = json.loads((tmp_path / "mri_to_ncct.json").read_text())
    assert "identity" in facts["method"]
    assert facts["deformation_mm"] is None


def test_the_registered_mri_lies_on_the_ncct(files, head, tmp_path):
    run_registration(files, tmp_path)
    names = {"mri": "mri.nii.gz", "affine": "mri_to_ncct.txt", "grid": "ncct.nii.gz", "out": "registered.nii.gz"}
    options = [word for key, name in names.items() for word in (f"--{key}", str(tmp_path / name))]
    apply_registration.main(["--cohort", "c", "--case", "k", *options])
    registered = load_volume(tmp_path / "registered.nii.gz")
    overlap = (registered.data > 200) & head.brain
    assert np.allclose(registered.affine, head.ct.affine)
    assert 2 * overlap.sum() / ((registered.data > 200).sum() + head.brain.sum()) > 0.95


def test_an_empty_image_is_refused_with_a_remedy(head, stripped, settings):
    empty = Volume(np.zeros((20, 20, 20), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    fixed = ct_for_registration(stripped, head.brain, settings.window_hu, settings.background_hu)
    mask = registration_mask(head.brain, stripped.spacing, settings.mask_margin_mm)
    with pytest.raises(InputError, match=r"elastix found no registration.*Remedy"):
        register_affine(fixed, mask, empty, settings)


@given(st.tuples(*[st.floats(-60, 60)] * 3), st.tuples(*[st.floats(0.7, 1.4)] * 3))
def test_the_described_affine_is_the_one_given(angles, stretch):
    rotation = Rotation.from_euler("xyz", angles, degrees=True)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix() @ np.diag(stretch)
    facts = affine_facts(matrix)
    assert facts["determinant"] == pytest.approx(np.prod(stretch))
    assert facts["stretch"] == pytest.approx([min(stretch), max(stretch)])
    assert facts["rotation_degrees"] == pytest.approx(np.degrees(rotation.magnitude()), abs=1e-4)


@given(st.tuples(*[st.floats(-60, 60)] * 3), st.floats(0.9, 1.1))
def test_the_deformation_of_a_box_is_what_its_sides_gain_or_lose(angles, stretch):
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * 100.0
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag([stretch, 1, 1])
    matrix[:3, 3] = [7, -300, 20]
    assert deformation_mm(matrix, corners) == pytest.approx(50 * abs(stretch - 1), abs=1e-4)


def test_the_mri_of_a_longer_and_narrower_head_is_flagged(head, stripped, mri, settings):
    longer = Volume(mri.data, np.diag([0.94, 1.06, 1.0, 1.0]) @ mri.affine)
    _, facts = register_mri.register_mri(stripped, head.brain, longer, settings, aligned=False)
    assert facts["doubts"] == []
    assert facts["deformation_mm"] > LIMITS.max_mri_deformation_mm


@pytest.mark.parametrize("modality", ["dwi", "adc"])
def test_the_mri_of_one_real_patient_with_the_ct_of_another_is_flagged(data, settings, modality):
    ct = to_ras(load_volume(data / "ct_human_cranium" / "cranium.nii.gz"))
    ct = resample_isotropic(ct, 3.0, antialias=True, background=-1024)
    brain = brain_by_threshold(ct.data, ct.spacing, np.zeros(ct.data.shape, bool))
    mri = load_volume(data / "mri_stroke_case" / f"sub-strokecase0009_ses-0001_{modality}.nii.gz")
    _, facts = register_mri.register_mri(ct, brain, mri, settings, aligned=False)
    assert facts["doubts"] == []
    assert facts["deformation_mm"] > LIMITS.max_mri_deformation_mm


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"stretch": [0.7, 1.0]}, ["stretch"]),
        ({"determinant": -1.0}, ["stretch"]),
        ({"rotation_degrees": 80.0}, ["rotation"]),
        ({"mutual_information": {"before": 1.0, "after": 0.5}}, ["information"]),
        ({"overlap_dice": 0.6}, ["overlap"]),
    ],
)
def test_what_cannot_be_the_same_head_is_doubted(change, expected):
    facts = {
        "determinant": 1.0,
        "stretch": [0.98, 1.03],
        "rotation_degrees": 12.0,
        "mutual_information": {"before": 0.1, "after": 0.4},
        "overlap_dice": 0.95,
    }
    assert doubts(facts | change, register_mri.LIMITS) == expected


def planted(result: np.ndarray, times: int):
    """A stand-in for elastix that fails in the first ``times`` tries."""
    calls = []

    def register(*images):
        calls.append(images)
        return result if len(calls) <= times else register_affine(*images)

    return register


@pytest.mark.parametrize("failure", [np.diag([0.6, 1, 1, 1.0]), np.diag([-1.0, 1, 1, 1]), np.diag([1.0, -1, -1, 1])])
def test_a_failed_registration_is_tried_again_from_another_start(
    files, head, mri_to_ncct, tmp_path, monkeypatch, failure
):
    monkeypatch.setattr(elastix, "register_affine", planted(failure, 1))
    run_registration(files, tmp_path)
    facts = json.loads((tmp_path / "mri_to_ncct.json").read_text())
    assert facts["doubts"] == []
    assert facts["start_pitch_degrees"] != 0
    assert target_error(head, read_affine(tmp_path / "mri_to_ncct.txt"), mri_to_ncct) < SPACING_MM


def test_a_registration_that_fails_from_every_start_is_flagged(files, tmp_path, monkeypatch):
    shifted = np.eye(4)
    shifted[:3, 3] = 70
    monkeypatch.setattr(elastix, "register_affine", planted(shifted, 99))
    run_registration(files, tmp_path)
    assert "overlap" in json.loads((tmp_path / "mri_to_ncct.json").read_text())["doubts"]


@pytest.mark.parametrize("plant", ["half a brain", "twice the size", "upside down"])
def test_an_mri_that_cannot_be_registered_is_flagged(head, stripped, mri, settings, plant):
    data, affine = mri.data.copy(), mri.affine.copy()
    if plant == "half a brain":
        data[: data.shape[0] // 2] = 0
    elif plant == "twice the size":
        affine[:3] *= 2
    else:
        affine = np.diag([1.0, -1, -1, 1]) @ affine
    _, facts = register_mri.register_mri(stripped, head.brain, Volume(data, affine), settings, aligned=False)
    assert facts["doubts"], facts


@pytest.mark.parametrize("number", [2, 5])
def test_phantom_scans_meet_within_a_millimetre(number):
    """DWI of 5 mm and ADC of 2 mm slices; twenty more, at 1 mm, in tests/benchmarks/bench_registration.py."""
    pair = make_pair(build_anatomy(2), number, share=0.8, spacing_mm=2.0)
    study = read_yaml(ROOT / "config.yaml")["preprocess"]["registration"]
    settings = RegistrationSettings(**study | {"window_hu": tuple(study["window_hu"])}, seed=1, threads=1)
    matrix, facts = register_mri.register_mri(pair.ncct, pair.brain, pair.mri, settings, aligned=False)
    errors = target_errors(pair, matrix)
    assert target_errors(pair, np.eye(4)).mean() > 5
    assert errors.mean() < 1
    assert errors.max() < 2
    assert facts["doubts"] == []
    drawn = lesion_on_grid(pair.drawn, pair.ncct, matrix).data > 0
    assert dice(drawn, pair.infarct.data) > 0.85


@given(st.integers(0, 2**32 - 1), st.integers(2, 16))
def test_mutual_information_agrees_with_scikit_learn(seed, bins):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=400)
    second = first + rng.normal(size=400)
    labels = [np.digitize(values, np.histogram_bin_edges(values, bins)[1:-1]) for values in (first, second)]
    assert mutual_information(np.histogram2d(first, second, bins)[0]) == pytest.approx(
        mutual_info_score(*labels), abs=1e-9
    )
