"""The study on public data, from four downloaded trees to its jobs, and two of its cases through preprocessing."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.datasets.test_datasets_cq500 import add as add_cq500
from tests.datasets.test_datasets_cq500 import vote
from tests.datasets.trees import add_aisd, add_cpaisd, ct, ring, save_image, save_mask, save_nifti, write_pictures
from tests.workflow import ROOT, job_counts, snakemake
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.datasets import aisd, cpaisd, cq500, isles24, join
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner.dicom import Series, write_series
from workflow_scripts.phantom.scanner.scan import build_patient, find_truth, scan
from workflow_scripts.study.case_sheet import load_cases

STUDY = ROOT / "profiles" / "public" / "study.yaml"
SHEET = "results/public/cases.tsv"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
COARSE = {  # what makes preprocessing of a phantom a matter of seconds
    "run": {"arms": [], "segment": [], "evaluate": []},
    "evaluate": {"comparisons": {"main": []}},
    "report": {"best_arms": [], "interpreted": []},
    "preprocess": {
        "spacing_mm": 6.0,
        "crop_margin_voxels": 1,
        "contralateral": "midplane",
        "skull_stripping": {"ncct": "hu", "mri": "none", "cross_check": "none"},
    },
}


def read_all(folder: Path, **trees: Path) -> None:
    """Run the readers of some trees and join their sheets to that of the study."""
    readers = {"aisd": aisd, "isles24": isles24, "cpaisd": cpaisd, "cq500": cq500}
    for name, tree in trees.items():
        readers[name].main([str(tree), "--out", str(folder / "results/datasets" / name)])
    sheets = [str(folder / "results/datasets" / name / "cases.tsv") for name in trees]
    join.main([*sheets, "--out", str(folder / SHEET)])


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A folder with the sheet of the study: four trees of three cases each."""
    folder = tmp_path_factory.mktemp("public study")
    data, thick = folder / "data", ct(gaps=(10.0,) * 11)
    for number in range(3):
        add_aisd(data / "aisd", f"009100{number}", thick)
        add_cpaisd(data / "cpaisd", "train", f"2.25.{number}", thick, ring(thick))
        add_cq500(data / "cq500", number, {"CT PLAIN THIN": 90})
        raw = data / f"isles24/raw_data/sub-stroke000{number}/ses-01/sub-stroke000{number}_ses-01_ncct.nii.gz"
        save_image(raw)
        save_mask(Path(str(raw).replace("raw_data", "derivatives").replace("01_ncct", "02_space-ncct_lesion-msk")))
    vote(data / "cq500", p0="000", p1="001", p2="111")
    read_all(folder, **{name: data / name for name in ("aisd", "isles24", "cpaisd", "cq500")})
    return folder


def test_the_joined_sheet_is_that_of_the_readers(public):
    cases = load_cases(public / SHEET, None, check_paths=True)
    assert len(cases) == 12
    assert {case.cohort for case in cases if case.lesion} == {"AISD", "ISLES24", "CPAISD"}
    assert [case.case for case in cases if case.exclude] == ["CQ500-CT-2"]


def test_the_whole_study_on_public_data_can_be_planned(public):
    jobs = job_counts(snakemake(public, "-n", "--quiet", "rules", "--configfile", str(STUDY)).stdout)
    assert jobs["preprocess_case"] == 11
    assert jobs["finetune"] == len(CONFIG["run"]["arms"]) * len(CONFIG["run"]["seeds"])
    assert jobs["index"] == 1


def test_every_arm_and_image_set_of_the_paper_has_its_public_stand_in():
    stand_ins = {"icoAIS": "ISLES24", "APIS": "CPAISD", "CENTER-TBI": "CQ500", "AISD": "AISD"}
    study = yaml.safe_load(STUDY.read_text())
    wanted = {name: [stand_ins[cohort] for cohort in arm["train"]] for name, arm in CONFIG["arms"].items()}
    assert {name: arm["train"] for name, arm in study["arms"].items()} == wanted
    sets = {name: {stand_ins[cohort] for cohort in cohorts} for name, cohorts in CONFIG["image_sets"].items()}
    assert {name: set(cohorts) for name, cohorts in study["image_sets"].items()} == sets


def test_a_case_that_stands_in_two_sheets_is_refused_and_paths_start_from_their_sheet(public, tmp_path):
    sheet = public / "results/datasets/aisd/cases.tsv"
    with pytest.raises(InputError, match="AISD/0091000 is in two of the sheets"):
        join.join([sheet, sheet])
    rows = read_tsv(sheet)[:1]
    mine = tmp_path / "cases.tsv"
    cells = {**rows[0], "case": "mine", "ncct": "scan", "mri": "", "mri_modality": ""}
    mine.write_text("\n".join("\t".join(line) for line in (cells.keys(), cells.values())) + "\n")
    assert [row["ncct"] for row in join.join([mine, sheet])][:2] == [str(tmp_path / "scan"), rows[0]["ncct"]]
    mine.write_text(mine.read_text().replace("mine", "m.i.n.e"))
    with pytest.raises(InputError, match="row 2, column case"):
        join.join([mine])


def add_phantoms(data: Path) -> dict[str, Path]:
    """Write one phantom as AISD hands a scan over, tilted, and one as ISLES'24 does."""
    anatomy = build_anatomy(4.0)
    plan = plan_case("AISD", "A01", 1)
    scans = scan(build_patient(anatomy, plan), plan, 4.0, 5.0)
    case = data / "aisd/dicom-0/0091000"
    (case / "CT").mkdir(parents=True)
    tilt = plan.tilt_degrees
    series = Series("A01", "A01", "CT", "03headCTA", 2, tilt, signed=True)
    write_series(case / "CT", scans.ncct, series)
    (case / "DWI").mkdir()
    write_pictures(data / "aisd/image/image/0091000", np.clip(scans.ncct.data, 0, 80) * 3)
    write_pictures(data / "aisd/mask/mask/0091000", 2 * scans.lesion.data)
    plan = plan_case("icoAIS", "I02", 1)
    truth = find_truth(build_patient(anatomy, plan), plan, 4.0, 5.0)
    subject = data / "isles24/{}/sub-stroke0001/{}/sub-stroke0001_{}.nii.gz"
    names = {
        "raw": ("raw_data", "ses-01", "ses-01_ncct"),
        "mask": ("derivatives", "ses-02", "ses-02_space-ncct_lesion-msk"),
    }
    save_nifti(Path(str(subject).format(*names["raw"])), truth.untilted.data.astype(np.int16), truth.untilted.affine)
    save_nifti(
        Path(str(subject).format(*names["mask"])), truth.lesion_ncct.data * 0.9999999997, truth.lesion_ncct.affine
    )
    assert tilt
    return {"aisd": data / "aisd", "isles24": data / "isles24"}


def test_two_cases_go_through_preprocessing_and_keep_their_lesions(tmp_path):
    read_all(tmp_path, **add_phantoms(tmp_path / "data"))
    (tmp_path / "coarse.yaml").write_text(yaml.safe_dump(COARSE))
    arguments = ["--cores", "2", "--configfile", str(STUDY), "coarse.yaml", "--scheduler", "greedy", "--quiet", "all"]
    snakemake(tmp_path, "cohort_AISD", "cohort_ISLES24", *arguments)
    for case in load_cases(tmp_path / SHEET, None):
        given = nib.load(case.lesion)
        folder = tmp_path / "results/public/preprocess" / case.cohort / case.case
        final = nib.load(folder / "lesion.nii.gz")
        assert final.shape == nib.load(folder / "ncct.nii.gz").shape
        assert millilitres(final) == pytest.approx(millilitres(given), rel=0.25)
        np.testing.assert_allclose(centre(final), centre(given), atol=4.0)


def millilitres(mask: nib.Nifti1Image) -> float:
    return float(mask.get_fdata().sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)


def centre(mask: nib.Nifti1Image) -> np.ndarray:
    return nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0).mean(axis=0))
