"""What is said of a folder before a call works in it: with a whole command, and of real records of Snakemake."""

import base64
import os
import shlex
import time
from pathlib import Path

import pytest

from tests.workflow import demo_arguments, snakemake
from workflow_scripts.study.working_folder import messages

TARGET = "results/demo/pretrain/ALL/settings.yaml"
CHANGED = "Changed since they were made"


def test_a_changed_output_is_named_and_the_command_makes_it_again(tmp_path):
    arguments = [TARGET, *demo_arguments()]
    made = tmp_path / TARGET
    assert CHANGED not in snakemake(tmp_path, *arguments).stdout
    whole = made.read_text()
    made.write_text(whole[:100])
    later = time.time() + 60
    os.utime(made, (later, later))
    told = next(line for line in snakemake(tmp_path, *arguments).stdout.splitlines() if CHANGED in line)
    assert made.read_text() == whole[:100], "it is taken as it is"
    command = shlex.split(told.partition("To make them again: ")[2])
    assert command[:7] == ["rm", "-r", TARGET, "&&", "python", "-m", "snakemake"]
    made.unlink()
    snakemake(tmp_path, *command[command.index(TARGET, 3) :])
    assert made.read_text() == whole
    assert CHANGED not in snakemake(tmp_path, "-n", *arguments).stdout


def test_a_lock_is_told_with_the_command_that_removes_it(tmp_path):
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    assert messages(tmp_path, "snakemake", ["all"]) == []
    (locks / "0.output.lock").write_text("results/a\n")
    (told,) = messages(tmp_path, "snakemake", ["all", "--configfile", "my study.yaml"])
    assert told.endswith("unlock it: snakemake --unlock all --configfile 'my study.yaml'")


def test_a_file_that_a_job_is_writing_is_not_called_changed(tmp_path):
    name = "cmVzdWx0cy9h"  # results/a, as Snakemake writes it
    for folder, text in (("metadata", '{"endtime": 0.0}'), ("incomplete", "{}")):
        (tmp_path / ".snakemake" / folder).mkdir(parents=True)
        (tmp_path / ".snakemake" / folder / name).write_text(text)
    os.utime(tmp_path / ".snakemake" / "metadata" / name, (0, 0))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a").touch()
    assert messages(tmp_path, "snakemake", []) == []
    (tmp_path / ".snakemake" / "incomplete" / name).unlink()
    assert "results/a" in messages(tmp_path, "snakemake", [])[0]


def test_a_changed_file_in_a_folder_that_a_job_made_is_told(tmp_path):
    record = tmp_path / ".snakemake" / "metadata" / base64.urlsafe_b64encode(b"results/arrays").decode()
    record.parent.mkdir(parents=True)
    record.write_text('{"endtime": 1000.0}')
    array = tmp_path / "results" / "arrays" / "icoAIS" / "I01.b2nd"
    array.parent.mkdir(parents=True)
    array.touch()
    for path in (record, array):
        os.utime(path, (1000, 1000))
    assert messages(tmp_path, "snakemake", []) == []
    os.utime(array, (2000, 2000))
    (told,) = messages(tmp_path, "snakemake", [])
    assert told.endswith("rm -r results/arrays && snakemake --forcerun results/arrays")


@pytest.mark.parametrize(
    ("name", "removed", "forced"),
    [
        ("split/splits.tsv", "split/splits.tsv", "split/splits.tsv"),
        (
            "preprocess/template/template.nii.gz",
            "preprocess/template/template.nii.gz",
            "preprocess/template/template.nii.gz",
        ),
        ("preprocess/A/1/lesion.nii.gz", "ingest/A/1 results/preprocess/A/1", "preprocess/A/1/files.json"),
        ("segment/FS/seed-0/A/1.nii.gz", "segment/FS/*/A/1.*", "segment/FS/batches/A/2.json"),
    ],
)
def test_a_file_of_a_whole_case_is_made_again_with_the_case(tmp_path, name, removed, forced):
    outdated(tmp_path, f"results/{name}")
    for batch in (1, 2):
        record = tmp_path / "results" / "segment" / "FS" / "batches" / "A" / f"{batch}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(f'{{"results/segment/FS/ensemble/A/{3 - batch}.nii.gz": ""}}')
    (told,) = messages(tmp_path, "snakemake", ["all"], "results")
    assert told.endswith(f"again: rm -r results/{removed} && snakemake all --forcerun results/{forced}")
    assert messages(tmp_path, "snakemake", ["all"])[0].endswith(
        f"results/{name} && snakemake all --forcerun results/{name}"
    )


def outdated(folder: Path, name: str) -> None:
    """Write a file that is newer than its record."""
    record = folder / ".snakemake" / "metadata" / base64.urlsafe_b64encode(name.encode()).decode()
    for path in (record, folder / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"endtime": 0.0}')
    os.utime(record, (0, 0))
