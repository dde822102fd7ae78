"""A plain folder of DICOM folders: names from the folders alone, and nothing of a header."""

import pytest

from tests.datasets.trees import ct, left_out, run_reader, why
from tests.ingest.dicom_series import Scan, write_series
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.dicom_folders import main

PLANTED = {"PatientName": "PLANTED^NAME", "PatientID": "PLANTED-ID", "SeriesDescription": "PLANTED SERIES"}


def test_each_folder_with_a_ct_is_a_case_named_like_it(tmp_path):
    root = tmp_path / "from archive"
    write_series(ct(), root / "007")
    write_series(ct(), root / "scan_1.b/study/series 3")
    write_series(Scan(modality="MR", rows=8, columns=8), root / "scan_1.b/study/series 5")
    cases, rows = run_reader(main, root)
    assert not rows
    assert {name: (case.cohort, case.patient, case.ncct) for name, case in cases.items()} == {
        "007": ("from-archive", "007", str(root / "007")),
        "scan-1-b": ("from-archive", "scan-1-b", str(root / "scan_1.b")),
    }
    assert all(case.lesion is None for case in cases.values())


def test_folders_that_are_no_study_are_named(tmp_path):
    root = tmp_path / "A"
    write_series(ct(), root / "good")
    write_series(Scan(modality="MR", rows=8, columns=8), root / "mr")
    write_series(ct(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), gaps=(5.0,)), root / "scout")
    (root / "empty").mkdir()
    (root / "notes.txt").write_text("notes")
    (root / ".DS_Store").write_bytes(b"\0")
    cases, rows = run_reader(main, root)
    assert set(cases) == {"good"}
    assert "no CT" in why(rows, "mr", "case")
    assert "localizer" in why(rows, "scout", "case")
    assert "no DICOM image" in why(rows, "empty", "case")
    assert {row["what"] for row in rows} == {"case", "notes.txt"}


def test_two_folders_that_would_have_one_name_are_not_mixed(tmp_path):
    root = tmp_path / "A"
    write_series(ct(), root / "scan 1")
    write_series(ct(), root / "scan_1")
    cases, rows = run_reader(main, root)
    assert cases["scan-1"].ncct == str(root / "scan 1")
    assert "taken" in why(rows, "scan-1", "case")


@pytest.mark.parametrize("name", ["two;parts", "ends in a blank ", "tab\tin it"])
def test_a_path_that_the_sheet_cannot_hold_is_left_out(name, tmp_path):
    for folder in (name, "good", 'quo"ted {brace}'):
        write_series(ct(gaps=(10.0,) * 11), tmp_path / "A" / folder)
    cases, rows = run_reader(main, tmp_path / "A")
    assert cases["quo-ted-brace"].ncct == str(tmp_path / 'A/quo"ted {brace}')
    assert set(cases) == {"good", "quo-ted-brace"}
    assert [row["what"] for row in rows] == ["case"]


def test_no_text_of_a_header_is_written_or_said(tmp_path, caplog, capsys):
    root = tmp_path / "A"
    write_series(ct(fields=PLANTED), root / "good")
    write_series(Scan(modality="MR", rows=8, columns=8, fields=PLANTED), root / "mr")
    with caplog.at_level("DEBUG"):
        run_reader(main, root)
    written = "".join(path.read_text() for path in (tmp_path / "out").glob("*.tsv"))
    assert "good" in written
    assert "PLANTED" not in written + caplog.text + "".join(capsys.readouterr())


@pytest.mark.parametrize("cohort", ["with blank", "a_b", "ä"])
def test_a_cohort_that_the_sheet_would_refuse_is_refused_at_once(cohort, tmp_path):
    write_series(ct(), tmp_path / "A/1")
    with pytest.raises(InputError, match="no name of a cohort"):
        run_reader(main, tmp_path / "A", "--cohort", cohort)


def test_a_folder_without_cases_is_said_and_explained(tmp_path):
    (tmp_path / "A/empty").mkdir(parents=True)
    with pytest.raises(InputError, match="No case was found"):
        run_reader(main, tmp_path / "A")
    assert left_out(tmp_path / "out")
    assert not (tmp_path / "out/cases.tsv").exists()
    with pytest.raises(InputError, match="is not a folder"):
        run_reader(main, tmp_path / "B")
