"""One command makes a mask, a DICOM object and a page of a new patient, with a model's zip and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import yaml

from tests.full_disk import full_disk
from tests.segment.exported import PUBLISHED, export
from tests.slurm.study import merged
from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.head import write_scans
from workflow_scripts.phantom.scanner.scan import build_patient, scan
from workflow_scripts.segment import new_patient
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.patient.workflow import alone, command
from workflow_scripts.study import case_sheet, config_files

TILTED = "I04"
LEFT_OUT = 3  # from the bottom: one gap is twice as wide


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def dicom(tmp_path_factory) -> Path:
    """A phantom of a seed that no study uses: tilted, and one slice missing."""
    folder = tmp_path_factory.mktemp("scan")
    plan = plan_case("icoAIS", TILTED, 77)
    anatomy = build_anatomy(3.0)
    write_scans(scan(build_patient(anatomy, plan), plan, 3.0, 5.0), plan, folder)
    files = sorted((folder / "ncct").glob("02-*"), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    files[LEFT_OUT].unlink()
    return folder / "ncct"


def call(*words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "workflow_scripts.segment.new_patient", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def result(model, dicom, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "of a patient"
    done = call("--dicom", dicom, "--model", f"{model}.zip", "--out", out, "--cores", 2, "--with-report")
    assert done.returncode == 0, done.stderr
    assert "step apply_model" in done.stderr
    return out


def test_all_files_come_out_and_nothing_else(result):
    assert {path.name for path in result.iterdir()} == {*PUBLISHED, "report.dcm"}


def test_the_page_is_in_the_study_of_the_images_as_a_picture(result, dicom):
    report, source = pydicom.dcmread(result / "report.dcm"), pydicom.dcmread(next(dicom.glob("02-*")))
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert report.pixel_array.shape == (report.Rows, report.Columns, 3)
    warning = report.pixel_array[: report.Rows // 20].reshape(-1, 3)
    assert (warning == (0x8B, 0, 0)).all(axis=1).mean() > 0.3


def test_a_page_in_dicom_is_refused_for_a_nifti_file(result, model, tmp_path):
    words = ["--nifti", str(result / "ncct_upright.nii.gz"), "--model", str(model), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="names no study"):
        new_patient.main([*words, "--with-report"])


def test_the_page_stands_alone_and_says_what_it_is_not_for(result):
    page = (result / "report.html").read_text(encoding="utf-8")
    assert page.upper().count("RESEARCH USE ONLY") == 1
    assert "src=" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_agrees_with_the_mask(result):
    report = json.loads((result / "report.json").read_text())
    assert report["flags"].count("slices missing") == 1
    assert len(report["lesion_ml_of_seeds"]) == len(report["seed_dice"]) == 3
    assert abs(report["scan"]["tilt_degrees"]) > 5
    mask = nib.load(result / "lesion_upright.nii.gz")
    millilitres = np.asarray(mask.dataobj).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    assert report["lesion_ml"] == pytest.approx(millilitres, rel=0.1)
    assert report["versions"]["torch"] == version("torch")
    measured = (result / "times.tsv").read_text().splitlines()[1:]
    assert report["seconds"] == {row.split("\t")[0]: float(row.split("\t")[1]) for row in measured}
    assert {"ingest_ncct", "run_networks", "dicom_seg"} < report["seconds"].keys()
    assert sum(report["components_ml"]) == pytest.approx(report["lesion_ml"], rel=0.2)


def test_every_frame_of_the_dicom_object_lies_on_its_own_slice(result, dicom):
    made = highdicom.seg.segread(result / "lesion.dcm")
    sources = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, dicom.glob("02-*"))}
    code = made.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("55641003", "SCT")
    heights = sorted(float(one.ImagePositionPatient[2]) for one in sources.values())
    assert np.ptp(np.diff(heights)) > 1
    mask = np.asarray(nib.load(result / "lesion.nii.gz").dataobj)
    assert made.pixel_array.sum() == mask.sum() > 0
    for frame, pixels in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        source = sources[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        where = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(where, np.array(source.ImagePositionPatient, float), atol=0.01)
        index = heights.index(float(source.ImagePositionPatient[2]))
        np.testing.assert_array_equal(pixels, mask[:, :, index].T)


def test_a_broken_run_leaves_no_result_and_the_same_command_goes_on(model, dicom, tmp_path):
    scans = tmp_path / "scan"
    shutil.copytree(dicom, scans)
    kept = [path.rename(tmp_path / path.name) for path in sorted(scans.glob("02-*"))[8:]]
    words = ("--dicom", scans, "--model", model, "--out", tmp_path / "out", "--cores", 2)
    failed = call(*words)
    assert failed.returncode == 1
    assert "fewer than" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".work"}
    for path in kept:
        path.rename(scans / path.name)
    again = call(*words)
    assert again.returncode == 0, again.stderr
    assert "step template" not in again.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == PUBLISHED


def test_a_model_that_cannot_be_used_is_refused_before_anything_runs_and_leaves_nothing(model, dicom, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "fold_2" / "checkpoint_final.pth").write_bytes(b"PK")
    shutil.make_archive(tmp_path / "damaged", "zip", tmp_path, folder.name)
    for words, message in (
        (["--model", str(folder)], "fold_2/checkpoint_final"),
        (["--model", str(tmp_path / "damaged.zip")], "fold_2/checkpoint_final"),
        (["--model", f"{model}.zip", "--memory-gb", "0.5"], "--memory-gb is 0.5"),
    ):
        with pytest.raises(InputError, match=message):
            new_patient.main(["--dicom", str(dicom), *words, "--out", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()


def test_a_disk_that_cannot_hold_the_model_leaves_nothing(model, dicom, tmp_path):
    words = ["--dicom", str(dicom), "--model", f"{model}.zip", "--out", str(tmp_path / "out")]
    with full_disk(10**4), pytest.raises(OSError, match="File too large"):
        new_patient.main(words)
    assert not (tmp_path / "out").exists()


def test_what_an_earlier_scan_left_is_not_published_after_an_error(model, dicom, tmp_path):
    out, few = tmp_path / "out", tmp_path / "few"
    done = call("--dicom", dicom, "--model", model, "--out", out, "--cores", 2, "--keep-work")
    assert done.returncode == 0, done.stderr
    (out / "report.html").unlink()
    few.mkdir()
    for path in sorted(dicom.glob("02-*"))[:8]:
        shutil.copy(path, few)
    failed = call("--dicom", few, "--model", model, "--out", out, "--cores", 2)
    assert failed.returncode == 1
    assert "Not segmented: new/patient" in failed.stderr
    assert not (out / "report.html").exists()


def test_results_inside_the_scan_or_the_model_are_refused_and_a_refusal_leaves_nothing(model, dicom, tmp_path):
    for out, words in ((dicom / "out", "itself"), (model / "a" / "out", "itself"), (tmp_path / "{a}", "brace")):
        with pytest.raises(InputError, match=words):
            new_patient.main(["--dicom", str(dicom), "--model", str(model), "--out", str(out)])
        assert not out.exists()
    for wrong in (["--dicom", str(tmp_path / "none")], ["--cases", str(tmp_path / "none.tsv")]):
        with pytest.raises(InputError):
            new_patient.main([*wrong, "--model", str(model), "--out", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()


def test_a_path_of_another_kind_than_was_said_is_refused_before_anything_runs(model, dicom, tmp_path, monkeypatch):
    (tmp_path / "scan.zip").touch()
    (tmp_path / "SCAN.NII.GZ").touch()
    monkeypatch.setattr(case_sheet.os, "access", lambda path, _: "secret" not in str(path))  # root may read all
    (tmp_path / "secret").mkdir()
    row = f"cohort\tpatient\tcase\tncct\nA\tp\tx\t{tmp_path / 'secret'}\n"
    (tmp_path / "new.tsv").write_text(row)
    for words, message in (
        (["--dicom", str(tmp_path / "secret")], "may not be read"),
        (["--cases", str(tmp_path / "new.tsv")], "row 2, column ncct: .* may not be read"),
        (["--cases", str(tmp_path)], "is not there.*--cases"),
        (["--dicom", str(next(dicom.glob("02-*")))], "is a file.*--nifti"),
        (["--nifti", str(dicom)], "no NIfTI file.*--dicom"),
        (["--nifti", str(tmp_path / "scan.zip")], "no NIfTI file"),
        (["--nifti", str(tmp_path / "SCAN.NII.GZ"), "--with-report"], "names no study"),  # so it is one
        (["--dicom", str(dicom), "--synthstrip-weights", str(tmp_path / "none")], "none' is not a file.*--synthstrip"),
    ):
        with pytest.raises(InputError, match=message):
            new_patient.main([*words, "--model", str(model), "--out", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()


def test_on_a_cluster_the_networks_are_the_only_step_that_asks_for_a_gpu(model, dicom, tmp_path):
    words = ["--dicom", str(dicom), "--model", str(model), "--out", str(tmp_path / "out"), "--with-report"]
    words += ["--profile", "slurm"]
    new_patient.write_study(new_patient._parse(words), tmp_path, tmp_path / "results")
    planned = [*command(tmp_path, "1", "slurm", None), "--dry-run"]
    told = subprocess.run(planned, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    asked = {block.split(":")[0]: "gpu=1" in block for block in told.split("rule ")[1:]}
    assert {"brain_mask", "apply_model", "dicom_seg", "dicom_report"} < asked.keys()
    assert [step for step, gpu in asked.items() if gpu] == ["run_networks"]


def test_a_model_whose_settings_this_code_does_not_know_is_refused_before_anything_runs(model, dicom, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    settings = json.loads((folder / "preprocessing.json").read_text())
    settings["preprocess"]["of_another_time"] = 1
    (folder / "preprocessing.json").write_text(json.dumps(settings))
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").unlink()
    layout.seal(folder, {key: value for key, value in manifest.items() if key not in ("format", "files")})
    with pytest.raises(InputError, match="of_another_time"):
        new_patient.main(["--dicom", str(dicom), "--model", str(folder), "--out", str(tmp_path / "out")])


def test_what_a_user_wrote_into_the_projects_own_configuration_changes_no_new_patient(
    model, dicom, tmp_path, monkeypatch
):
    """Another study's cohorts, labels, paths and settings; the file lies beside the code, under what the model says."""
    own = yaml.safe_load((ROOT / "config.yaml").read_text())
    words = ["--dicom", str(dicom), "--model", str(model), "--out", str(tmp_path / "out")]

    def written(config: dict) -> dict:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        study = new_patient.write_study(new_patient._parse(words), tmp_path, tmp_path / "results")
        return {name: study.config[name] for name in ("cases", "outdir", "seed", "ingest", "preprocess", "segment")}

    monkeypatch.setattr(config_files, "SHIPPED", tmp_path / "config.yaml")
    monkeypatch.setattr(new_patient, "SHIPPED", tmp_path / "config.yaml")
    plain = written(own)
    edits = {
        "cases": "/none/cases.tsv",
        "cases_root": "/none",
        "outdir": "/none",
        "seed": 1,
        "run": {"arms": ["FS-STKi"], "segment": ["A"], "evaluate": ["A"]},
        "ingest": {"min_slices": 3},
        "preprocess": {
            "keep_heads": False,
            "spacing_mm": 3.0,
            "template": {"image": "/none"},
            "skull_stripping": {"synthstrip_weights": {"path": "/none"}},
        },
        "probe": {"supervised": {"ALL": "/none"}},
        "segment": {"mirroring": False, "step": 0.9},
        "evaluate": {"test_arms": ["FS-STKi"]},
    }
    assert written(merged(own, edits)) == plain
    labels = {"ingest": {"lesion_labels": {"A": [1, 2]}}}
    assert written(merged(own, labels))["preprocess"] == plain["preprocess"]
    assert plain["preprocess"]["keep_heads"]
    with pytest.raises(InputError, match=r"config\.yaml, key finetune\.iterations_per_epoch"):
        written(merged(own, {"finetune": {"iterations_per_epoch": -1}}))


def test_a_terminated_run_ends_its_jobs_and_says_how_to_go_on(model, dicom, tmp_path):
    command = [sys.executable, "-m", "workflow_scripts.segment.new_patient", "--dicom", dicom, "--model", model]
    with subprocess.Popen(
        [*command, "--out", tmp_path / "out", "--cores", "1"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "step " in line:
                process.terminate()
                break
        said = process.stderr.read()
    assert process.returncode == 75
    assert "the same command goes on" in said
    with alone(tmp_path / "out" / ".work"):
        assert {path.name for path in (tmp_path / "out").iterdir()} == {".work"}
