"""Bad input: the case and the remedy are named, the others go on, nothing half-made keeps a final name."""

import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
import yaml

from tests.workflow import DEMO, ROOT, snakemake

REMEDIES = {
    "empty": "DICOM",
    "mr": "CT",
    "grid": "grid",
    "nan": "NaN",
}


def sheet_row(case: str, ncct: str, lesion: str = "") -> str:
    space = "ncct" if lesion else ""
    return "\t".join(["X", case, case, ncct, "", "", lesion, space, "", "", "", "", "", ""])


@pytest.fixture(scope="module")
def broken(demo, tmp_path_factory):
    """Run all_preprocess with --keep-going over one good case and four broken ones, in a folder of any script."""
    folder = tmp_path_factory.mktemp("Klinik Süd 脳")
    good = demo.results / "phantom" / "icoAIS" / "I01" / "ncct"
    (folder / "empty").mkdir()
    shutil.copytree(good, folder / "mr")
    for path in (folder / "mr").glob("[!.]*"):
        header = pydicom.dcmread(path)
        header.Modality = "MR"
        header.save_as(path)
    image = nib.load(demo.results / "ingest" / "icoAIS" / "I01" / "ncct.nii.gz")
    values = np.asarray(image.dataobj).astype(np.float32)
    nib.save(nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)), folder / "mask.nii.gz")
    values[3, 3, 3] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), folder / "nan.nii.gz")
    rows = [
        sheet_row("good", str(good)),
        sheet_row("empty", "empty"),
        sheet_row("mr", "mr"),
        sheet_row("grid", str(good), "mask.nii.gz"),
        sheet_row("nan", "nan.nii.gz"),
    ]
    (folder / "cases.tsv").write_text("\n".join([(ROOT / "cases.tsv").read_text().strip(), *rows]) + "\n")
    study = yaml.safe_load((DEMO / "study.yaml").read_text())
    study.pop("phantom")
    study |= {"cases": "cases.tsv", "cases_root": None, "outdir": "results"}
    study["run"] = {"arms": [], "segment": [], "evaluate": []}
    study["report"] = {"best_arms": [], "interpreted": []}
    study["evaluate"] = {"test_arms": [], "comparisons": {}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    result = snakemake(
        folder, "--configfile", "study.yaml", "--cores", "2", "--keep-going", "all_preprocess", check=False
    )
    return folder, result


def test_the_run_fails(broken):
    assert broken[1].returncode != 0


@pytest.mark.parametrize("case", REMEDIES)
def test_the_message_names_case_and_remedy(broken, case):
    logs = "\n".join(path.read_text() for path in (broken[0] / "results" / "logs").rglob(f"{case}*.log"))
    lines = [line for line in logs.splitlines() if f"Case X/{case}:" in line]
    assert lines and "Remedy:" in lines[-1] and REMEDIES[case] in lines[-1], logs


def test_the_good_case_goes_on(broken):
    assert (broken[0] / "results" / "preprocess" / "X" / "good" / "case.json").is_file()


def test_a_broken_case_leaves_no_final_file(broken):
    results = broken[0] / "results"
    for case in ("empty", "mr", "nan"):
        assert not list((results / "ingest" / "X" / case).glob("*"))
    assert not (results / "ingest" / "X" / "grid" / "lesion.nii.gz").exists()
    assert not (results / "preprocess" / "X" / "grid" / "lesion.nii.gz").exists()
    assert (results / "preprocess" / "X" / "grid" / "ncct.nii.gz").is_file()
