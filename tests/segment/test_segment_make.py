"""`make segment` and `make cases` hand paths on as they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow import ROOT

ODD = 'a "b" `touch done`; it\'s, (c) & *'


@pytest.fixture
def clone(tmp_path) -> Path:
    """The Makefile where everything is installed, and a Python that writes its words, one a line."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words\n')
    program.chmod(0o755)
    for copy in ("requirements.txt", ".venv/installed.txt"):
        shutil.copy(ROOT / "requirements.txt", tmp_path / copy)
    return tmp_path


@pytest.mark.parametrize("kind", ["DICOM", "NIFTI"])
def test_segment_takes_any_path(clone, kind):
    given = [f"{kind}={ODD} 1", f"MODEL={ODD} 2", f"OUT={ODD} 3", "CORES=2"]
    subprocess.run(["make", "segment", *given], cwd=clone, check=True, capture_output=True)
    words = (clone / "words").read_text().splitlines()
    scan = [f"--{kind.lower()}", f"{ODD} 1"]
    assert words[2:] == [*scan, "--model", f"{ODD} 2", "--out", f"{ODD} 3", "--cores", "2"]
    assert not (clone / "done").exists()


def test_cases_takes_any_folder(clone):
    given = ["READER=aisd", f"FOLDER={ODD}", f"OUT={ODD} 2"]
    done = subprocess.run(["make", "cases", *given], cwd=clone, check=True, capture_output=True, text=True)
    assert (clone / "words").read_text().splitlines()[2:] == [ODD, "--out", f"{ODD} 2"]
    assert f"{ODD} 2/cases.tsv" in done.stdout
    assert not (clone / "done").exists()


def test_segment_without_a_scan_says_what_to_give(clone):
    done = subprocess.run(
        ["make", "segment", "MODEL=m", "OUT=o"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Give DICOM or NIFTI" in done.stdout
