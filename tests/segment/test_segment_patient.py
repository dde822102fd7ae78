"""The parts of the command for a new patient: options, the lock of a folder, what steps say and is published."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.full_disk import full_disk
from tests.segment.exported import PUBLISHED
from workflow_scripts.common.errors import InputError
from workflow_scripts.segment import new_patient
from workflow_scripts.segment.model.steps import steps
from workflow_scripts.segment.patient import results as published
from workflow_scripts.segment.patient.workflow import alone, command, run_workflow
from workflow_scripts.study import paths


def test_a_step_is_told_when_it_begins_with_its_case():
    printed = """
Building DAG of jobs...
[Sat Nov 28 09:57:10 2026]
localrule template:
    output: template.nii.gz
    resources: tmpdir=<TBD>
[Sat Nov 28 09:57:11 2026]
rule prepare_mri:
    input: ingest/A/S-1/dwi.nii.gz
    wildcards: cohort=A, case=S-1, modality=dwi
    threads: 2
    resources: mem_mb=2500
Finished jobid: 3 (Rule: prepare_mri)
localrule new_patients:
    resources: tmpdir=/tmp
"""
    assert list(steps(printed.splitlines())) == ["template", "prepare_mri of A/S-1"]


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    work = tmp_path / "out" / ".work"
    work.mkdir(parents=True)
    with alone(work), pytest.raises(InputError, match=rf"Another run .*process {os.getpid()} on "):
        new_patient.main(
            ["--dicom", str(tmp_path / "a"), "--model", str(tmp_path / "b"), "--out", str(tmp_path / "out")]
        )
    assert [path.name for path in work.iterdir()] == ["lock"]


def test_nothing_of_an_earlier_scan_stays_beside_a_result_and_other_files_do(tmp_path):
    results, out = tmp_path / "results", tmp_path / "out"
    made = Path(paths.file(str(results), "patient", cohort="new", case="patient"))
    scan = Path(paths.file(str(results), "ingested", "ncct.nii.gz", cohort="new", case="patient"))
    dicom = [out / name for name in ("lesion.dcm", "report.dcm")] + [
        made / name for name in ("lesion.dcm", "report.dcm")
    ]
    for file in (*(made / name for name in published.FILES), *dicom, scan, out / "mine.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (made / published.REPORT).write_text("{}")
    published.publish(results, "new", "patient", out, ["lesion.dcm"])
    assert {path.name for path in out.iterdir()} == {*PUBLISHED, "mine.txt"}
    published.publish(results, "new", "patient", out, [])
    assert {path.name for path in out.iterdir()} == {*PUBLISHED, "mine.txt"} - {"lesion.dcm"}


def test_a_full_disk_leaves_the_earlier_result_whole(tmp_path):
    results, out = tmp_path / "results", tmp_path / "out"
    made = Path(paths.file(str(results), "patient", cohort="new", case="patient"))
    scan = Path(paths.file(str(results), "ingested", "ncct.nii.gz", cohort="new", case="patient"))
    for file in (*(made / name for name in published.FILES), scan):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(100))
    (made / published.REPORT).write_text("{}")
    published.publish(results, "new", "patient", out, [])
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (made / published.REPORT).write_text(json.dumps({"side": "left" * 10**5}))
    with full_disk(10**5), pytest.raises(OSError, match="File too large"):
        published.publish(results, "new", "patient", out, [])
    assert whole.keys() == PUBLISHED - {"lesion.dcm"}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


@pytest.mark.parametrize("words", [["--cores", "0"], ["--cores", "-1"], ["--cores", "some"], ["--memory-gb", "four"]])
def test_a_number_that_is_none_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        new_patient.main(["--dicom", "a", "--model", "b", "--out", "c", *words])
    assert words[1] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--dicom", "--model", "--out"])
def test_an_empty_path_is_refused_and_not_taken_for_the_folder_of_the_call(name, capsys):
    """As of a variable of the shell that is not set."""
    given = {"--dicom": "a", "--model": "b", "--out": "c"} | {name: ""}
    with pytest.raises(SystemExit):
        new_patient.main([word for pair in given.items() for word in pair])
    assert f"{name}: the path is empty" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["--nifti", "--cases"])
def test_a_series_without_a_dicom_folder_is_refused_and_not_passed_over(given):
    with pytest.raises(InputError, match="--series chooses"):
        new_patient.main([given, "a", "--model", "b", "--out", "c", "--series", "3"])


def test_what_snakemake_itself_refuses_is_told(tmp_path):
    words = command(tmp_path, "1", "no-such-profile", None)
    with alone(tmp_path) as lock:
        (told,) = run_workflow(words, tmp_path / "log", lock)
    assert "rofile" in told


def test_what_a_step_says_need_not_be_utf_8(tmp_path):
    says = r"import os; os.write(1, b' ERROR a.b: caf\xe9 is empty.\n'); raise SystemExit(1)"
    with alone(tmp_path) as lock:
        assert run_workflow([sys.executable, "-c", says], tmp_path / "log", lock) == ["caf\ufffd is empty."]
