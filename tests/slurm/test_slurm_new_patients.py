"""New patients on the cluster: a sheet, a model's zip and one command, as docs/new_patient.md has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

from tests.segment.exported import export
from tests.slurm.conftest import FIELDS, PROFILE, rule_of
from tests.slurm.study import scan, write_profile
from tests.workflow import ROOT
from workflow_scripts.common.files import read_json, write_tsv

CASES = ("I01", "I02")
BROKEN = "I09"


@pytest.fixture(scope="module")
def called(cluster, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess, list[dict[str, str]]]:
    """The folder of the results, what the command said, and what accounting says of its jobs."""
    folder = tmp_path_factory.mktemp("new-patients")
    model = export(folder / "study")
    scan(folder / "scans" / "A" / CASES[0], "icoAIS", CASES[0])
    shutil.copytree(folder / "scans" / "A" / CASES[0], folder / "scans" / "A" / CASES[1])
    (folder / "scans" / "A" / BROKEN).mkdir()
    rows = [
        {"cohort": "A", "patient": case, "case": case, "ncct": f"scans/A/{case}{'' if case == BROKEN else '/ncct'}"}
        for case in (*CASES, BROKEN)
    ]
    write_tsv(folder / "new.tsv", rows, list(rows[0]))
    profile = write_profile(folder / "profile", **PROFILE | {"retries": 1})
    words = ["--cases", "new.tsv", "--model", f"{model}.zip", "--out", "out", "--profile", str(profile), "--cpu"]
    before = {job["JobID"] for job in cluster.sacct("JobID")}
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.segment.new_patient", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    return folder / "out", done, [job for job in cluster.sacct(*FIELDS) if job["JobID"] not in before]


def test_every_patient_whose_scan_can_be_used_has_a_mask(called):
    out, done, _ = called
    for case in CASES:
        assert {"lesion.nii.gz", "lesion.dcm", "report.html"} <= {file.name for file in (out / "A" / case).iterdir()}, (
            done.stderr[-6000:]
        )
        assert f"A/{case}: " in done.stderr
        assert nib.load(out / "A" / case / "lesion.nii.gz").shape[2] > 20
        assert read_json(out / "A" / case / "report.json")["seconds"]["run_networks"] > 0
    assert not (out / "A" / BROKEN).exists()


def test_a_scan_that_cannot_be_used_is_named_and_not_submitted_again(called):
    _, done, jobs = called
    assert done.returncode == 1
    assert f"Not segmented: A/{BROKEN}." in done.stderr and "Remedy:" in done.stderr
    assert "Traceback" not in done.stderr
    assert [job["State"] for job in jobs].count("FAILED") == 1


def test_a_patient_is_one_job_before_the_networks_and_one_after_them(called):
    _, done, jobs = called
    kinds = [rule_of(job) for job in jobs]
    assert kinds.count("run_networks") == 1
    assert len(kinds) == len((*CASES, BROKEN)) + 1 + len(CASES)
    for case in CASES:
        assert f"step apply_model, dicom_seg, new_patient_page of A/{case}" in done.stderr
