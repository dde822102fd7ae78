"""Whole cases at a coarse grid, read back from their files with readers that are not ours."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from workflow_scripts.common.files import read_tsv, replacing_folder
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, resample
from workflow_scripts.phantom import attributes
from workflow_scripts.phantom import cohort as cohort_command
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.head import main, make_case
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import upright_grid
from workflow_scripts.phantom.scanner.dicom import PLANTED
from workflow_scripts.phantom.scanner.images import Patient, render
from workflow_scripts.phantom.scanner.layouts import layout
from workflow_scripts.phantom.scanner.scan import build_patient
from workflow_scripts.study.case_sheet import load_cases

SEED, VOXEL_MM, SLICE_MM = 11, 4.0, 5.0
TILTED = [("AISD", "A01"), ("AISD", "A02")]
WITH_MRI = [("AISD", "A02"), ("APIS", "P01"), ("icoAIS", "I02"), ("icoAIS", "I05")]


@pytest.fixture(scope="module")
def anatomy():
    return build_anatomy(2)


@pytest.fixture(scope="module")
def case(anatomy, tmp_path_factory):
    """Make a case once; returns its folder and that of its truth."""
    root = tmp_path_factory.mktemp("cohort")

    def make(cohort: str, name: str) -> tuple[Path, Path]:
        folder, truth = root / cohort / name, root / "truth" / cohort / name
        if not truth.exists():
            make_case(anatomy, plan_case(cohort, name, SEED), VOXEL_MM, SLICE_MM, folder, truth)
        return folder, truth

    return make


def _slices(folder: Path) -> list[pydicom.Dataset]:
    found = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    axial = [image for image in found if "LOCALIZER" not in image.ImageType]
    return sorted(axial, key=lambda image: float(image.ImagePositionPatient[2]))


def _read_series(folder: Path) -> Volume:
    """Voxels and RAS affine of a series by the formula of the DICOM standard (PS3.3 C.7.6.2.1.1)."""
    slices = _slices(folder)
    orientation = np.array(slices[0].ImageOrientationPatient, float)
    spacing = np.array(slices[0].PixelSpacing, float)
    first, last = (np.array(image.ImagePositionPatient, float) for image in (slices[0], slices[-1]))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * spacing[1], orientation[3:] * spacing[0]
    affine[:3, 2], affine[:3, 3] = (last - first) / (len(slices) - 1), first
    data = [image.pixel_array.T * float(image.get("RescaleSlope", 1)) for image in slices]
    stack = np.stack(data, axis=-1) + float(slices[0].get("RescaleIntercept", 0))
    return Volume(stack.astype(np.float32), np.diag([-1, -1, 1, 1]) @ affine)


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def _mri(folder: Path, name: str) -> Volume:
    path = folder / f"{name}.nii.gz"
    if path.exists():
        return load_volume(path)
    inside = list((folder / name).glob("*.nii.gz"))
    return load_volume(inside[0]) if inside else _read_series(folder / name)


def _lesion_on_upright_grid(cohort: str, folder: Path, truth: Path) -> tuple[np.ndarray, np.ndarray]:
    wanted = load_volume(truth / "lesion_ncct.nii.gz")
    to_source = np.eye(4) if cohort == "AISD" else np.linalg.inv(read_affine(truth / "mri_to_ncct.txt"))
    drawn = load_volume(folder / "lesion.nii.gz")
    moved = resample(drawn, wanted.data.shape, wanted.affine, order=0, background=0, to_source=to_source)
    return moved.data > 0.5, wanted.data > 0.5


def test_the_same_seed_gives_the_same_bytes_in_another_process(case, tmp_path):
    folder, truth = case("AISD", "A01")
    arguments = f"--cohort AISD --case A01 --seed {SEED} --voxel-mm {VOXEL_MM} --slice-mm {SLICE_MM}".split()
    command = [sys.executable, "-m", "workflow_scripts.phantom.head", *arguments]
    root = Path(__file__).parents[2]
    subprocess.run([*command, "--out", tmp_path / "a", "--out-truth", tmp_path / "b"], check=True, cwd=root)
    for made, again in ((folder, tmp_path / "a"), (truth, tmp_path / "b")):
        files = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
        assert len(files) >= 6
        assert all((made / path).read_bytes() == (again / path).read_bytes() for path in files)


def test_another_seed_gives_another_head(anatomy):
    first, second = (build_patient(anatomy, plan_case("AISD", "A01", seed)).head for seed in (SEED, SEED + 1))
    assert not np.allclose(first.affine, second.affine)


def test_two_scans_of_a_patient_show_the_same_head_in_another_pose(anatomy):
    first, second = (build_patient(anatomy, plan_case("AISD", name, SEED)) for name in ("A03", "A03-2"))
    assert np.array_equal(first.head.shape.warp.values["x"], second.head.shape.warp.values["x"])
    assert np.array_equal(first.lesions.values["level"], second.lesions.values["level"])
    assert not np.allclose(first.head.pose, second.head.pose)


@pytest.mark.parametrize(("cohort", "name"), TILTED)
def test_the_stack_is_sheared_as_its_header_says(case, cohort, name):
    folder, _ = case(cohort, name)
    volume, tilt = _read_series(folder / "ncct"), plan_case(cohort, name, SEED).tilt_degrees
    assert float(_slices(folder / "ncct")[0].GantryDetectorTilt) == tilt
    rows, slices = volume.affine[:3, 1] * [-1, -1, 1], volume.affine[:3, 2]
    assert np.degrees(np.arctan2(rows[2], rows[1])) == pytest.approx(tilt, abs=0.01)
    assert slices == pytest.approx([0, 0, SLICE_MM], abs=0.01)


@pytest.mark.parametrize(("cohort", "name"), [*TILTED, ("icoAIS", "I02")])
def test_the_head_of_the_series_lies_where_the_truth_has_it(case, cohort, name):
    folder, truth = case(cohort, name)
    wanted = load_volume(truth / "untilted.nii.gz")
    found = resample(_read_series(folder / "ncct"), wanted.data.shape, wanted.affine, order=1, background=-1000)
    brain = load_volume(truth / "brain_mask.nii.gz").data > 0
    assert (found.data > -300)[brain].mean() > 0.99
    assert _dice(wanted.data > 300, found.data > 300) > 0.8


@pytest.mark.parametrize(("cohort", "name"), TILTED)
def test_dcm2niix_converts_the_series_and_untilts_it(case, tmp_path, cohort, name):
    folder, _ = case(cohort, name)
    command = [Path(sys.executable).with_name("dcm2niix"), "-o", tmp_path, "-f", "v", "-b", "n", folder / "ncct"]
    subprocess.run(command, check=True, capture_output=True)
    assert list(tmp_path.glob("v*_Tilt_1.nii*"))


def test_a_mask_on_the_ncct_has_the_grid_of_the_series(case):
    folder, _ = case("AISD", "A02")
    series, mask = _read_series(folder / "ncct"), load_volume(folder / "lesion.nii.gz")
    assert mask.data.shape == series.data.shape
    assert mask.affine == pytest.approx(series.affine, abs=1e-3)


@pytest.mark.parametrize(("cohort", "name"), WITH_MRI)
def test_the_mask_lies_where_the_truth_has_the_lesion(case, cohort, name):
    assert _dice(*_lesion_on_upright_grid(cohort, *case(cohort, name))) > 0.75


@pytest.mark.parametrize(("cohort", "name"), WITH_MRI)
def test_the_lesion_has_its_volume_its_side_and_lies_in_the_brain(case, cohort, name):
    plan = plan_case(cohort, name, SEED)
    _, truth = case(cohort, name)
    lesion, brain = (load_volume(truth / f"{image}.nii.gz") for image in ("lesion_ncct", "brain_mask"))
    planned = sum(one.volume_ml for one in plan.lesions)
    assert lesion.data.sum() * lesion.voxel_ml == pytest.approx(planned, rel=0.3)
    assert (lesion.data * brain.data).sum() > 0.98 * lesion.data.sum()
    plane = json.loads((truth / "midsagittal.json").read_text())
    voxels = np.argwhere(lesion.data > 0)
    world = voxels @ lesion.affine[:3, :3].T + lesion.affine[:3, 3]
    share = ((world - plane["point_mm"]) @ plane["normal"] > 0).mean()
    expected = {"left": (0, 0.02), "right": (0.98, 1), "bilateral": (0.2, 0.8)}[plan.side]
    assert expected[0] <= share <= expected[1]


@pytest.mark.parametrize(("cohort", "name"), WITH_MRI)
def test_infarcts_are_dark_on_ct_and_adc_and_bright_on_dwi(case, anatomy, cohort, name):
    plan = plan_case(cohort, name, SEED)
    folder, truth = case(cohort, name)
    patient = build_patient(anatomy, plan)
    grid = upright_grid(patient, VOXEL_MM, SLICE_MM)
    healthy = render(Patient(patient.head, None), {"hu": images.ct()}, grid.shape, grid.affine)["hu"]
    lesion = load_volume(truth / "lesion_ncct.nii.gz").data > 0
    drop = healthy.data[lesion] - load_volume(truth / "untilted.nii.gz").data[lesion]
    assert 3 < np.median(drop) < 13
    truth_mask, mri_to_ncct = load_volume(truth / "lesion_ncct.nii.gz"), read_affine(truth / "mri_to_ncct.txt")
    for modality in layout(cohort).mri:
        image = _mri(folder, modality)
        there = resample(truth_mask, image.data.shape, image.affine, order=0, background=0, to_source=mri_to_ncct)
        brain = image.data > 0.4 * np.median(image.data[image.data > 100])
        ratio = np.median(image.data[there.data > 0]) / np.median(image.data[brain & (there.data == 0)])
        assert ratio > 1.5 if modality == "dwi" else ratio < 0.75


@pytest.mark.parametrize(("cohort", "name"), WITH_MRI)
def test_mri_and_ncct_differ_by_a_rigid_motion_that_lays_the_brains_onto_each_other(case, cohort, name):
    folder, truth = case(cohort, name)
    matrix = read_affine(truth / "mri_to_ncct.txt")
    assert matrix[:3, :3] @ matrix[:3, :3].T == pytest.approx(np.eye(3), abs=1e-6)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1, abs=1e-6)
    brain = load_volume(truth / "brain_mask.nii.gz")
    mri = _mri(folder, "adc" if cohort == "APIS" else "dwi")
    back = np.linalg.inv(matrix)
    moved = resample(mri, brain.data.shape, brain.affine, order=1, background=0, to_source=back).data
    still = resample(mri, brain.data.shape, brain.affine, order=1, background=0).data
    level = 0.4 * np.median(mri.data[mri.data > 100])
    assert _dice(moved > level, brain.data > 0) > 0.85
    assert _dice(moved > level, brain.data > 0) > _dice(still > level, brain.data > 0)


def test_icoais_mri_is_stripped_to_the_brain_and_registered_to_each_other(case):
    folder, truth = case("icoAIS", "I02")
    dwi, adc = (nib.load(folder / f"{name}.nii.gz") for name in ("dwi", "adc"))
    assert np.array_equal(dwi.affine, adc.affine)
    share = np.count_nonzero(dwi.get_fdata()) / dwi.get_fdata().size
    brain = load_volume(truth / "brain_mask.nii.gz")
    brain_ml = brain.data.sum() * brain.voxel_ml
    dwi_ml = share * dwi.get_fdata().size * abs(np.linalg.det(dwi.affine[:3, :3])) / 1000
    assert dwi_ml == pytest.approx(brain_ml, rel=0.1)


def test_apis_ncct_is_badly_stripped(case):
    folder, truth = case("APIS", "P01")
    ncct = load_volume(folder / "ncct.nii.gz")
    brain = load_volume(truth / "brain_mask.nii.gz")
    on_ncct = resample(brain, ncct.data.shape, ncct.affine, order=0, background=0).data > 0
    kept = ncct.data != 0
    assert (ncct.data[~kept] == 0).all()
    assert (kept & (ncct.data > 400)).sum() > 100
    assert 0.001 < (on_ncct & ~kept).sum() / on_ncct.sum() < 0.2


@pytest.mark.parametrize(("cohort", "name"), [("APIS", "P04"), ("CENTER-TBI", "C01")])
def test_healthy_heads_have_no_lesion(case, cohort, name):
    folder, truth = case(cohort, name)
    assert not load_volume(truth / "lesion_ncct.nii.gz").data.any()
    if cohort == "APIS":
        assert not load_volume(folder / "lesion.nii.gz").data.any()
    else:
        assert {path.name for path in folder.iterdir()} == {"ncct.nii.gz"}
        assert not (truth / "mri_to_ncct.txt").exists()


def test_the_table_of_attributes_says_what_the_truth_shows(case, tmp_path):
    truths = [case(*name)[1] for name in (("APIS", "P04"), *WITH_MRI)]
    attributes.main(["--truth", *map(str, truths), "--out", str(tmp_path / "attributes.tsv")])
    rows = read_tsv(tmp_path / "attributes.tsv")
    assert [(row["cohort"], row["case"]) for row in rows] == [(truth.parent.name, truth.name) for truth in truths]
    brains = [load_volume(truth / "brain_mask.nii.gz") for truth in truths]
    ml = np.array([brain.data.sum() * brain.voxel_ml for brain in brains])
    per_size = ml / [float(row["head_size"]) for row in rows]
    assert per_size == pytest.approx(per_size.mean(), rel=0.05)
    for row, truth in zip(rows, truths, strict=True):
        lesion = load_volume(truth / "lesion_ncct.nii.gz")
        assert float(row["lesion_ml"]) == pytest.approx(lesion.data.sum() * lesion.voxel_ml, rel=0.25, abs=1.0)
        assert (row["side"] == "none") == (not lesion.data.any())


def test_tissue_has_realistic_hu(case):
    folder, truth = case("CENTER-TBI", "C01")
    untilted = load_volume(truth / "untilted.nii.gz").data
    brain = load_volume(truth / "brain_mask.nii.gz")
    assert 28 < np.median(untilted[brain.data > 0]) < 40
    assert 1000 < brain.data.sum() * brain.voxel_ml < 2000
    assert untilted.min() == -1000
    assert 1000 < untilted.max() < 1700
    assert np.median(load_volume(folder / "ncct.nii.gz").data) == pytest.approx(-1000, abs=10)


def test_left_and_right_differ_a_little_about_the_midsagittal_plane(case):
    _, truth = case("CENTER-TBI", "C01")
    plane = json.loads((truth / "midsagittal.json").read_text())
    point, normal = np.array(plane["point_mm"]), np.array(plane["normal"])
    mirror = np.eye(4)
    mirror[:3, :3] -= 2 * np.outer(normal, normal)
    mirror[:3, 3] = 2 * (point @ normal) * normal
    brain = load_volume(truth / "brain_mask.nii.gz")
    mirrored = resample(brain, brain.data.shape, brain.affine, order=0, background=0, to_source=mirror)
    assert 0.9 < _dice(mirrored.data > 0, brain.data > 0) < 0.995


def test_dicom_headers_hold_the_planted_patient_and_nothing_of_the_kind_is_in_nifti(case):
    folder, truth = case("AISD", "A02")
    image = _slices(folder / "ncct")[0]
    assert {name: str(image[name].value) for name in PLANTED} == PLANTED
    assert image.PatientID.startswith("PLANTED-ID-")
    for path in [*folder.glob("*.nii.gz"), *truth.iterdir()]:
        assert b"PLANTED" not in path.read_bytes()


def test_one_scanner_pads_with_minus_3024_and_sends_a_scout(case):
    folder, _ = case("AISD", "A02")
    assert _read_series(folder / "ncct").data.min() == -3024
    kinds = ["LOCALIZER" in pydicom.dcmread(path).ImageType for path in (folder / "ncct").glob("*.dcm")]
    assert sum(kinds) == 1


def test_a_cohort_comes_with_a_sheet_whose_paths_exist(tmp_path):
    cohort_command.main(
        [
            "--patients",
            "APIS=1",
            "CENTER-TBI=1",
            "--seed",
            "3",
            "--voxel-mm",
            "6",
            "--slice-mm",
            "8",
            "--out",
            str(tmp_path),
        ]
    )
    cases = load_cases(tmp_path / "cases.tsv", None, check_paths=True)
    assert [case.case for case in cases] == ["P01", "C01"]
    assert all((tmp_path / "truth" / case.cohort / case.case / "head.json").exists() for case in cases)


def test_a_failed_case_leaves_no_folder_under_its_final_name(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "ncct") as temporary:
        (temporary / "half.dcm").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_case_of_another_cohort(tmp_path):
    folders = ["--out", str(tmp_path / "a"), "--out-truth", str(tmp_path / "b")]
    with pytest.raises(Exception, match="P01"):
        main(["--cohort", "AISD", "--case", "P01", "--seed", "1", "--voxel-mm", "4", "--slice-mm", "6", *folders])
    assert list(tmp_path.iterdir()) == []
