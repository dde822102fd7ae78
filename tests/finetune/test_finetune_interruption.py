"""Interrupted trainings end as if they had not been interrupted."""

import io
import multiprocessing
import os
import random
import signal
import subprocess
from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.finetune.trainings import SETTINGS, train
from tests.kills import killed_in
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.common.saved_states import States
from workflow_scripts.finetune.finetune import model_of
from workflow_scripts.finetune.training import record
from workflow_scripts.finetune.training.trainer import StudyTrainer

KILLS = int(os.environ.get("KILLS", "8"))
MOMENTS = {
    "step": (StudyTrainer, "train_step"),
    "validation": (StudyTrainer, "validation_step"),
    "best": (StudyTrainer, "save_checkpoint"),
    "save": (States, "save"),
    "write": (States, "_write"),
    "older ones go": (States, "_newest_first"),  # also as a training begins
}


@pytest.fixture
def at_call(monkeypatch):
    """Do something before the n-th call (counted from 1) of a method."""

    def arrange(owner, method, number, action):
        original, calls = getattr(owner, method), []

        def acting(self, *arguments):
            calls.append(1)
            if len(calls) == number:
                action()
            return original(self, *arguments)

        monkeypatch.setattr(owner, method, acting)

    return arrange


def stop():
    raise KeyboardInterrupt


def warn():
    os.kill(os.getpid(), signal.SIGTERM)


def model_file(best):
    buffer = io.BytesIO()
    torch.save(model_of(best, {}, 1), buffer)
    return buffer.getvalue()


def assert_equal(result, expected):
    assert model_file(result[0]) == model_file(expected[0])
    assert result[1] == expected[1]


@pytest.mark.parametrize(("moment", "number"), [("step", 3), ("step", 4), ("validation", 2), ("best", 1), ("save", 2)])
def test_a_stopped_training_ends_as_an_uninterrupted_one(dataset, uninterrupted, tmp_path, at_call, moment, number):
    at_call(*MOMENTS[moment], number, stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path)
    assert_equal(train(dataset, tmp_path), uninterrupted)


@pytest.mark.parametrize(("moment", "number"), [("step", 3), ("validation", 2)])
def test_a_warned_training_ends_after_the_running_step_and_repeats_none(
    dataset, uninterrupted, tmp_path, at_call, monkeypatch, moment, number
):
    steps, original = [], StudyTrainer.train_step

    def noted(trainer, batch):
        steps.append((trainer.current_epoch, len(trainer.losses)))
        return original(trainer, batch)

    monkeypatch.setattr(StudyTrainer, "train_step", noted)
    at_call(*MOMENTS[moment], number, warn)
    with pytest.raises(Interrupted, match="SIGTERM"):
        train(dataset, tmp_path)
    assert steps == [(0, 0), (0, 1), (1, 0), (1, 1)][: 3 if moment == "step" else 4]
    assert_equal(train(dataset, tmp_path), uninterrupted)
    assert steps == [(epoch, step) for epoch in range(3) for step in range(2)]


@pytest.mark.parametrize("moment", ["best", "save", "step"])
@pytest.mark.parametrize("number", [1, 2])
def test_no_interruption_changes_which_epoch_is_the_best(dataset, tmp_path, at_call, monkeypatch, moment, number):
    averages = [0.1, 0.5, 0.4, 0.3]
    monkeypatch.setattr(record, "smoothed", lambda values: averages[len(values) - 1])
    at_call(*MOMENTS[moment], number, stop)
    settings = replace(SETTINGS, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path, settings)
    best, _ = train(dataset, tmp_path, settings)
    assert (best["current_epoch"], best["_best_ema"]) == (2, 0.5)


def test_a_damaged_newest_state_is_told_and_the_one_before_gives_the_same_result(
    dataset, uninterrupted, tmp_path, at_call, caplog
):
    at_call(StudyTrainer, "train_step", 5, stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path)
    _, newest = sorted(tmp_path.glob("step-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert_equal(train(dataset, tmp_path), uninterrupted)
    assert f"{newest.name} is damaged; falling back" in caplog.text


@pytest.mark.parametrize("number", [3, 4])
def test_weights_that_are_no_numbers_stop_the_training_with_its_last_sound_state(
    dataset, uninterrupted, tmp_path, monkeypatch, number
):
    with monkeypatch.context() as spoilt:
        original, steps = StudyTrainer.train_step, []

        def spoiling(trainer, batch):
            result = original(trainer, batch)
            steps.append(1)
            if len(steps) == number:
                next(trainer.bare_network.parameters()).data.fill_(torch.nan)
            return result

        spoilt.setattr(StudyTrainer, "train_step", spoiling)
        with pytest.raises(InputError, match=r"weight is no finite number in epoch 2, with learning rate 0\.01"):
            train(dataset, tmp_path)
    assert_equal(train(dataset, tmp_path), uninterrupted)


def test_a_state_holds_tensors_numbers_and_strings_alone(dataset, tmp_path, at_call):
    at_call(StudyTrainer, "train_step", 3, stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path)
    (file,) = tmp_path.glob("step-*.pt")

    def kinds(tree):
        if isinstance(tree, dict | list):
            return set().union(*(kinds(branch) for branch in (tree.values() if isinstance(tree, dict) else tree)))
        return {type(tree)}

    assert kinds(torch.load(file, weights_only=True)) <= {torch.Tensor, int, float, str, bool, type(None)}


def test_random_kills_change_no_bit_of_the_result(dataset, tmp_path):
    """Every second training has a process that makes its batches."""
    # An epoch has 7 moments at least: an attempt passes one epoch at most, so all of them come before the last.
    long, rng = replace(SETTINGS, epochs=KILLS + 1), random.Random(2023)
    undisturbed = train(dataset, tmp_path / "undisturbed", long)
    state = tmp_path / "killed"
    attempts = [partial(train, dataset, state, long, workers=number % 2) for number in range(KILLS)]
    killed = [killed_in(rng.randint(2, 9), MOMENTS, attempt) for attempt in attempts]
    assert len(set(killed)) > 2
    assert_equal(train(dataset, state, long), undisturbed)


def test_batches_made_by_processes_are_the_same_also_after_an_interruption(dataset, uninterrupted, tmp_path, at_call):
    at_call(StudyTrainer, "train_step", 4, stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path, workers=2)
    assert_equal(train(dataset, tmp_path, workers=1), uninterrupted)


@pytest.mark.parametrize("precisions", [("float32", "float16"), ("float16", "float32")])
def test_a_state_goes_on_in_another_precision(dataset, tmp_path, at_call, monkeypatch, caplog, precisions):
    """From a CPU, which needs no loss scale, to a card that does, and back; torch's scaler works on a CPU too."""
    initialize, given = StudyTrainer.initialize, iter(precisions)

    def with_scaler(trainer):
        initialize(trainer)
        trainer.grad_scaler = torch.amp.GradScaler("cpu") if next(given) == "float16" else None
        trainer.precisions = [trainer.precision]

    monkeypatch.setattr(StudyTrainer, "initialize", with_scaler)
    at_call(StudyTrainer, "train_step", 3, stop)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path)
    best, rows = train(dataset, tmp_path)
    assert best["precisions"] == list(precisions) and len(rows) == SETTINGS.epochs
    assert f"trained in {precisions[0]} until now, from here on in {precisions[1]}" in caplog.text


def test_a_warning_to_the_processes_that_make_batches_too_loses_no_step(dataset, uninterrupted, tmp_path, at_call):
    """Slurm sends its warning to every process of the job's step."""

    def warn_all():
        # By another process than their parent, from which torch's own take it as an order to end.
        made = [str(process.pid) for process in multiprocessing.active_children()]
        subprocess.run(["kill", "-TERM", *made, str(os.getpid())], check=True)

    at_call(StudyTrainer, "train_step", 3, warn_all)
    with pytest.raises(Interrupted, match="SIGTERM"):
        train(dataset, tmp_path, workers=1)
    assert_equal(train(dataset, tmp_path, workers=1), uninterrupted)
