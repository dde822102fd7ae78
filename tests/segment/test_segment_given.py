"""What lies in a work folder is of the scans and the model that a run is given, whatever the times of the files say."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow_scripts.segment.patient.given import STAGES, forget_others
from workflow_scripts.study import paths

CASES = ("I01", "I02")
OLD = (0, 0)  # 1970


@pytest.fixture
def study(tmp_path) -> SimpleNamespace:
    """Two patients in a work folder, with a file of each stage."""
    (tmp_path / "work").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("one")
    for case in CASES:
        (tmp_path / case).mkdir()
        (tmp_path / case / "1.dcm").write_text(case)
    cases = [SimpleNamespace(cohort="A", case=name, ncct=str(tmp_path / name), brain_mask=None) for name in CASES]
    made = SimpleNamespace(
        results=str(tmp_path / "work" / "results"), config={"model": str(tmp_path / "model")}, cases=cases
    )
    forget_others(made, tmp_path / "work")
    for stage in STAGES:
        for case in CASES:
            folder = Path(paths.file(made.results, stage, cohort="A", case=case))
            folder.mkdir(parents=True)
            (folder / "made").touch()
    return made


def left(study: SimpleNamespace) -> set[str]:
    """The cases of which something lies there, each of them whole."""
    found = [path.parent.name for path in Path(study.results).rglob("made")]
    assert all(found.count(case) == len(STAGES) for case in found)
    return set(found)


def test_the_same_command_goes_on(study, tmp_path):
    forget_others(study, tmp_path / "work")
    assert left(study) == set(CASES)


def test_a_scan_that_was_moved_to_the_place_of_another_is_another_scan(study, tmp_path):
    before = (tmp_path / "I02" / "1.dcm").stat()
    shutil.rmtree(tmp_path / "I02")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1.dcm").write_text("I99")
    os.utime(tmp_path / "other" / "1.dcm", ns=(0, before.st_mtime_ns + 1))
    os.utime(tmp_path / "other", OLD)
    (tmp_path / "other").rename(tmp_path / "I02")
    forget_others(study, tmp_path / "work")
    assert left(study) == {"I01"}


def test_another_model_at_the_same_place_is_another_model(study, tmp_path):
    (tmp_path / "model" / "model.json").write_text("two")
    os.utime(tmp_path / "model" / "model.json", OLD)
    forget_others(study, tmp_path / "work")
    assert left(study) == set()
