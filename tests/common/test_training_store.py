"""The folder of a training: it resumes, is kept, and is never replaced unasked."""

import os
from pathlib import Path

import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.training_store import (
    Training,
    describe_differences,
    made_with_other_code,
    open_training,
)

DESCRIPTION = {"settings": {"epochs": 3, "patch": [16, 112, 112]}, "data": "abc"}


def begin(folder: Path, description: dict = DESCRIPTION, code: str = "c0de", retrain: bool = False) -> Training:
    return open_training(folder / "state", description, code, [folder / "weights.pt", folder / "curves.tsv"], retrain)


def finish(training: Training) -> None:
    (training.folder / "checkpoint").write_text("state")
    for output in training.outputs:
        output.write_text(f"content of {output.name}")
    training.finish()


def test_a_finished_training_comes_back_and_its_checkpoints_go(tmp_path):
    finish(begin(tmp_path))
    for output in begin(tmp_path).outputs:
        output.unlink()
    again = begin(tmp_path)
    assert again.finished
    assert not (again.folder / "checkpoint").exists()
    again.restore()
    assert [output.read_text() for output in again.outputs] == ["content of weights.pt", "content of curves.tsv"]


def test_states_that_a_process_killed_as_it_finished_has_left_go(tmp_path):
    finish(begin(tmp_path))
    again = begin(tmp_path)
    (again.folder / "step-000000004-abc.pt").touch()
    again.restore()
    assert not (again.folder / "step-000000004-abc.pt").exists()


def test_an_output_that_is_damaged_comes_back_whole(tmp_path):
    training = begin(tmp_path)
    finish(training)
    with training.outputs[0].open("r+") as output:
        output.write("other")
    training.restore()
    assert training.outputs[0].read_text() == "content of weights.pt"


@pytest.mark.parametrize("damage", [Path.unlink, lambda kept: kept.write_text("content of weights.px")])
def test_a_kept_output_that_is_damaged_is_not_put_back_and_retraining_begins_anew(tmp_path, damage):
    training = begin(tmp_path)
    finish(training)
    damage(training.folder / "finished" / "weights.pt")
    training.outputs[0].write_text("what was there")
    with pytest.raises(InputError, match=r"weights\.pt, is missing, damaged.*retrain=true"):
        begin(tmp_path).restore()
    assert training.outputs[0].read_text() == "what was there"
    finish(begin(tmp_path, retrain=True))
    begin(tmp_path).restore()
    assert training.outputs[0].read_text() == "content of weights.pt"


def test_an_unfinished_training_resumes_in_its_folder(tmp_path):
    (begin(tmp_path).folder / "checkpoint").write_text("epoch 2")
    again = begin(tmp_path)
    assert not again.finished
    assert (again.folder / "checkpoint").read_text() == "epoch 2"


@pytest.mark.parametrize("finished", [True, False])
def test_another_description_is_refused_by_the_name_of_what_changed(tmp_path, finished):
    first = begin(tmp_path)
    (first.folder / "step-000000001-abc.pt").touch()
    if finished:
        finish(first)
    changed = {"settings": {"epochs": 4, "patch": [16, 96, 96]}, "data": "abc"}
    expected = r"settings.epochs was 3, is now 4; settings.patch was \[16, 112, 112\], is now \[16, 96, 96\]\..*retrain"
    with pytest.raises(InputError, match=expected):
        begin(tmp_path, changed)
    second = begin(tmp_path, changed, retrain=True)
    assert not second.finished
    assert second.folder != first.folder
    assert begin(tmp_path, changed).folder == second.folder, "a second try needs no second permission"
    assert begin(tmp_path).finished == finished, "what was there before still is"


def test_retraining_begins_anew_once(tmp_path):
    finish(begin(tmp_path))
    again = begin(tmp_path, retrain=True)
    assert not again.finished
    (again.folder / "checkpoint").write_text("epoch 1")
    assert (begin(tmp_path, retrain=True).folder / "checkpoint").read_text() == "epoch 1"


def test_other_code_is_reported_and_changes_nothing(tmp_path, caplog):
    begin(tmp_path)
    assert not begin(tmp_path, code="0ther").finished
    assert "trained with code c0de; the code is now 0ther" in caplog.text
    caplog.clear()
    begin(tmp_path, code="0ther")
    assert not caplog.text


def test_kept_results_of_other_code_are_named_the_newest_of_each_training(tmp_path):
    for name, codes in {"A/seed-0": ["old"], "A/seed-1": ["old", "new"], "B": ["new"]}.items():
        for position, code in enumerate(codes):
            begun = begin(tmp_path / name, {"position": position}, code, retrain=True)
            finish(begun)
            os.utime(begun.folder / "finished", (position, position))
    begin(tmp_path / "unfinished", code="old")
    assert made_with_other_code(tmp_path, "new") == ["A/seed-0/state"]
    assert made_with_other_code(tmp_path / "nowhere", "new") == []


def test_differences_name_absent_keys_and_count_what_is_not_named():
    old, new = {"a": 1, "gone": "x", "n": {str(i): i for i in range(9)}}, {"a": 2, "come": [1], "n": {}}
    text = describe_differences(old, new)
    assert text.startswith('a was 1, is now 2; come was absent, is now [1]; gone was "x", is now absent; n.0 was 0')
    assert text.endswith("and 7 more")
