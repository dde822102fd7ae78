"""Progress counts cases and files that are there, and says how long a stage takes at its pace."""

import os
from pathlib import Path

from tests.bad_input.study import OTHERS, ROW, load, write_sheet
from workflow_scripts.study.progress import progress, told
from workflow_scripts.study.targets import stage_files


def test_cases_and_files_are_counted_stage_by_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sheet(tmp_path / "cases.tsv", ROW, *OTHERS)
    study = load(tmp_path)
    files = [Path(name) for name in stage_files(study, "ingest")]
    present = [file for file in files if file.parent.name == "C1"] + [files[-1]]
    for number, file in enumerate(present):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (60 * number, 60 * number))
    ingest, *others = progress(study)
    assert (ingest.cases_done, ingest.cases, ingest.done) == (1, 3, len(present))
    assert ingest.seconds_left == 60 * (len(files) - len(present))
    assert not any(stage.done for stage in others)
    assert "1 of 3" in told([ingest])
