import os
import random
import shutil
import signal
import tempfile

import numpy as np
import pytest
import torch

from tests.beside import second_waits
from tests.full_disk import full_disk
from tests.stored_arrays import change_voxel, recompress
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain.engine import loop as train
from workflow_scripts.pretrain.engine.fitting_batch import smaller_sizes
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.pretrain import TIMES
from workflow_scripts.pretrain.views.scans import open_cohort

CPU = torch.device("cpu")


@pytest.fixture
def cohort(make_dataset):
    return open_cohort(make_dataset(), 1, True, 1)


@pytest.fixture
def at_call(monkeypatch):
    """Do something before the n-th call (counted from 1) of a method of the method."""

    def arrange(method, number, action):
        original, calls = getattr(Distillation, method), []

        def acting(self, *arguments, **keywords):
            calls.append(1)
            if len(calls) == number:
                action(self)
            return original(self, *arguments, **keywords)

        monkeypatch.setattr(Distillation, method, acting)

    return arrange


def warn(_):
    os.kill(os.getpid(), signal.SIGTERM)


def stop(_):
    raise KeyboardInterrupt


def files(folder):
    """States below a folder by the number of steps done."""
    return {int(file.name.split("-")[1]): file for file in sorted(folder.rglob("step-*.pt"))}


@pytest.fixture
def assert_equal_results():
    def compare(one, two):
        assert (one / "encoder.pt").read_bytes() == (two / "encoder.pt").read_bytes()
        assert (one / "rankme.tsv").read_bytes() == (two / "rankme.tsv").read_bytes()
        ours, theirs = (read_tsv(folder / "curves.tsv") for folder in (one, two))
        for name in set(ours[0]) - set(TIMES):
            assert [row[name] for row in ours] == [row[name] for row in theirs], name

    return compare


@pytest.fixture
def assert_equal_weights():
    def compare(one, two):
        ours, theirs = (read_encoder(folder / "encoder.pt")["state_dict"] for folder in (one, two))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    return compare


# An epoch has 4 steps, 2 batches of validation and 3 of RankMe.
@pytest.mark.parametrize(
    ("method", "number", "action", "error"),
    [
        ("step", 6, warn, Interrupted),
        ("step", 8, warn, Interrupted),
        ("evaluate", 6, warn, Interrupted),
        ("step", 11, stop, KeyboardInterrupt),
    ],
)
def test_a_stopped_training_continues_to_the_same_weights(
    run_rule, tmp_path, at_call, assert_equal_results, method, number, action, error
):
    undisturbed = run_rule("undisturbed", epochs=3)
    at_call(method, number, action)
    with pytest.raises(error):
        run_rule("resumed", state=tmp_path / "state", epochs=3)
    assert not (tmp_path / "resumed" / "encoder.pt").exists()
    resumed = run_rule("resumed", state=tmp_path / "state", epochs=3)
    assert_equal_results(resumed, undisturbed)
    assert not files(tmp_path / "state")


def test_a_warned_training_ends_after_the_running_step_and_repeats_none(run_rule, tmp_path, at_call, monkeypatch):
    at_call("step", 6, warn)
    state, steps, original = tmp_path / "state", [], Distillation.step

    def noted(self, views, step):
        steps.append(step)
        return original(self, views, step)

    monkeypatch.setattr(Distillation, "step", noted)
    with pytest.raises(Interrupted, match="SIGTERM"):
        run_rule("warned", state=state, epochs=3)
    assert steps == [0, 1, 2, 3, 4, 5]
    run_rule("warned", state=state, epochs=3)
    assert steps[6:] == [6, 7, 8, 9, 10, 11]


def test_a_damaged_newest_state_is_told_and_the_one_before_gives_the_same_result(
    run_rule, tmp_path, at_call, assert_equal_results, caplog
):
    state, undisturbed = tmp_path / "state", run_rule("undisturbed", epochs=3)
    at_call("step", 11, stop)
    with pytest.raises(KeyboardInterrupt):
        run_rule("resumed", state=state, epochs=3)
    assert list(files(state)) == [4, 8]
    newest = files(state)[8]
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert_equal_results(run_rule("resumed", state=state, epochs=3), undisturbed)
    assert f"{newest.name} is damaged; falling back" in caplog.text


def test_two_generations_are_kept(tmp_path):
    states = States(tmp_path)
    (tmp_path / ".partial-of-a-killed-process").write_bytes(b"half a st")
    for step in (4, 8, 12):
        states.save({"step": step}, step)
        states.wait()
    assert list(files(tmp_path)) == [8, 12] and len(list(tmp_path.iterdir())) == 2
    assert states.load() == {"step": 12}


def test_a_later_state_that_was_damaged_does_not_outlive_a_sound_one(tmp_path):
    states = States(tmp_path)
    for step in (4, 8):
        states.save({"step": step}, step)
        states.wait()
    files(tmp_path)[8].write_bytes(b"")
    for step in (5, 6):
        states.save({"step": step}, step)
        states.wait()
    assert list(files(tmp_path)) == [5, 6]


def test_damage_anywhere_in_the_file_is_found(tmp_path):
    """Torch on its own loads changed weights without a word."""
    states, rng = States(tmp_path), random.Random(5)
    for step in (4, 8):
        states.save({"step": step, "weights": torch.arange(500.0)}, step)
        states.wait()
    newest = files(tmp_path)[8]
    sound = newest.read_bytes()
    damaged = [sound[:length] for length in (0, 1, len(sound) // 2, len(sound) - 1)]
    for _ in range(100):
        content = bytearray(sound)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        damaged.append(content)
    for content in damaged:
        newest.write_bytes(content)
        assert states.load()["step"] == 4
    newest.write_bytes(sound)
    assert states.load()["step"] == 8


@pytest.mark.parametrize("name", ["of another seed", None])
def test_a_state_of_another_training_is_told_and_not_gone_on_from(tmp_path, caplog, name):
    """Its file is sound, and its weights would fit."""
    other, states = States(tmp_path / "other", name), States(tmp_path / "this", "this")
    for each, step in ((states, 4), (other, 8)):
        each.save({"step": step}, step)
        each.wait()
    foreign = files(tmp_path / "other")[8]
    shutil.copy(foreign, tmp_path / "this")
    if name is None:  # of a training without a name
        assert states.load() == {"step": 8}
        return
    assert States(tmp_path / "this").load() == {"step": 8}, "who names no training reads any"
    assert states.load() == {"step": 4}
    assert f"{foreign.name} is of another training; falling back" in caplog.text
    files(tmp_path / "this")[4].unlink()
    with pytest.raises(InputError, match=rf"or of another training: {foreign.name}\. Remedy: delete"):
        states.load()


@pytest.mark.parametrize("value", [np.zeros(2), {1, 2}, torch.float16, object()])
def test_a_state_that_could_not_be_read_again_is_refused_by_the_name_of_what_it_holds(tmp_path, value):
    with pytest.raises(InputError, match=rf"state\['ours'\]\[1\] is a {type(value).__name__}\."):
        States(tmp_path).save({"ours": [torch.zeros(2), value]}, 4)
    assert not files(tmp_path)


def test_a_number_of_numpy_comes_back_as_one_of_python(tmp_path):
    states = States(tmp_path)
    states.save({"numbers": [np.float64(0.5), np.float32(0.5), np.int64(2), np.True_]}, 4)
    numbers = states.load()["numbers"]
    assert numbers == [0.5, 0.5, 2, True] and [type(number) for number in numbers] == [float, float, int, bool]


def test_when_every_state_is_damaged_the_training_is_not_begun_anew_unasked(tmp_path):
    states = States(tmp_path)
    for step in (4, 8):
        states.save({"step": step}, step)
        states.wait()
        files(tmp_path)[step].write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=rf"Every saved state is damaged or .* delete {tmp_path} to start anew"):
        states.load()


def test_a_disk_that_takes_no_more_leaves_the_earlier_state(tmp_path):
    """A limit on the size of files stands for the full disk: the kernel refuses the write in the same way."""
    states = States(tmp_path)
    states.save({"step": 4}, 4)
    states.wait()
    told = pytest.raises(InputError, match=r"after step 8 cannot be saved: File too large.* make room in")
    with full_disk(20_000), told:
        states.save({"weights": torch.zeros(10_000)}, 8)
        states.wait()
    assert len(list(tmp_path.iterdir())) == 1 and states.load() == {"step": 4}


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    states = States(tmp_path)
    with pytest.raises(InputError, match=r"cannot be saved: Permission denied.* get the permission to write into"):
        states.save({"step": 4}, 4)
        states.wait()


def test_a_long_epoch_is_saved_by_the_clock(run_rule, tmp_path, at_call, monkeypatch, assert_equal_results):
    """The clock is advanced by hand: a minute for each look at it."""
    undisturbed = run_rule("undisturbed", save_minutes=2)
    now = iter(range(0, 10**6, 60))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(now))
    at_call("step", 4, stop)
    with pytest.raises(KeyboardInterrupt):
        run_rule("resumed", state=tmp_path / "state", save_minutes=2)
    assert list(files(tmp_path / "state")) == [2]
    assert_equal_results(run_rule("resumed", state=tmp_path / "state", save_minutes=2), undisturbed)


def test_between_two_saved_states_epochs_end_without_one(run_rule, tmp_path, at_call):
    at_call("step", 6, stop)
    with pytest.raises(KeyboardInterrupt):
        run_rule("run", state=tmp_path / "state", save_minutes=60)
    assert not files(tmp_path / "state")


def test_what_is_written_is_the_state_when_it_was_saved(tmp_path):
    states, weights = States(tmp_path), torch.zeros(2_000_000)
    states.save({"weights": weights}, 4)
    weights.fill_(1)
    assert not states.load()["weights"].any()


def test_a_state_that_could_not_be_written_stops_the_training_at_the_next(tmp_path, monkeypatch):
    states = States(tmp_path)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(torch, "save", refuse)
        states.save({"step": 4}, 4)
        with pytest.raises(OSError, match="No space left"):
            states.save({"step": 8}, 8)
    with pytest.raises(OSError, match="No space left"), States(tmp_path) as leaving, monkeypatch.context() as full:
        full.setattr(torch, "save", refuse)
        leaving.save({"step": 8}, 8)
        leaving.wait()


def test_other_settings_or_images_are_refused_by_name_and_the_old_ones_go_on(
    run_rule, make_dataset, tmp_path, at_call, assert_equal_results
):
    state, undisturbed = tmp_path / "state", run_rule("undisturbed")
    at_call("step", 6, warn)
    with pytest.raises(Interrupted):
        run_rule("run", state=state)
    with pytest.raises(InputError, match=r"settings\.seed was 7, is now 8\. Remedy: put them back"):
        run_rule("run", state=state, seed=8)
    with pytest.raises(InputError, match=r"images\.A/c0 was \"train, .* is now \"test, SHA-256"):
        run_rule("run", state=state, dataset=make_dataset(splits=("test",) + ("train",) * 3, folder="other"))
    assert_equal_results(run_rule("run", state=state), undisturbed)


def test_after_an_alarm_raised_in_error_lower_bounds_go_on(run_rule, tmp_path, assert_equal_results):
    undisturbed = run_rule("undisturbed")
    strict = {"feature_deviation": 1.0, "information": 0.0, "epochs": 1, "first_epoch": 1}
    with pytest.raises(InputError, match="collapsed: feature_deviation"):
        run_rule("run", state=tmp_path / "state", alarm=strict)
    assert list(files(tmp_path / "state")) == [4]
    assert_equal_results(run_rule("run", state=tmp_path / "state"), undisturbed)


def test_changed_code_is_told_and_goes_on(run_rule, tmp_path, at_call, monkeypatch, caplog, assert_equal_weights):
    undisturbed = run_rule("undisturbed")
    at_call("step", 6, warn)
    monkeypatch.setattr(pretrain_rule, "code_digest", lambda _: "old")
    with pytest.raises(Interrupted):
        run_rule("run", state=tmp_path / "state")
    monkeypatch.setattr(pretrain_rule, "code_digest", lambda _: "new")
    folder = run_rule("run", state=tmp_path / "state")
    assert "trained with code old; the code is now new" in caplog.text
    assert read_encoder(folder / "encoder.pt")["code"] == ["old", "new"]
    assert_equal_weights(folder, undisturbed)


def test_what_is_trained_is_put_back_not_trained_again(run_rule, tmp_path, monkeypatch):
    first = run_rule("run", state=tmp_path / "state")
    content = (first / "encoder.pt").read_bytes()
    (first / "encoder.pt").unlink()
    with monkeypatch.context() as idle:
        idle.setattr(Distillation, "step", stop)
        run_rule("run", state=tmp_path / "state")
    assert (first / "encoder.pt").read_bytes() == content


def test_a_training_that_still_runs_is_waited_for_and_its_encoder_taken(run_rule, monkeypatch, caplog):
    run = second_waits(monkeypatch, lambda: run_rule("run"), Distillation, "step")
    assert f"works in {run / 'state'}" in caplog.text
    assert (run_rule("alone") / "encoder.pt").read_bytes() == (run / "encoder.pt").read_bytes()


@pytest.mark.parametrize("folder", ["arrays", "companions"])
def test_a_dataset_made_again_puts_the_training_back_unless_a_voxel_differs(
    run_rule, make_dataset, tmp_path, monkeypatch, folder
):
    dataset = make_dataset(folder="other")
    run_rule("run", state=tmp_path / "state", dataset=dataset, epochs=1)
    monkeypatch.setattr(Distillation, "step", stop)
    recompress(dataset)
    run_rule("run", state=tmp_path / "state", dataset=dataset, epochs=1)
    change_voxel(dataset / folder / "A__c3.b2nd")
    with pytest.raises(InputError, match=r"other settings or data: images\.A/c3 was [^;]*\. Remedy"):
        run_rule("run", state=tmp_path / "state", dataset=dataset, epochs=1)


def test_a_loss_that_is_no_number_stops_with_step_and_learning_rate(run_rule, tmp_path, at_call):
    def spoil(method):
        method.centre.fill_(torch.nan)

    at_call("step", 6, spoil)
    with pytest.raises(InputError, match=r"loss is no finite number at step 5 \(epoch 1\) with learning rate 0\.000"):
        run_rule(state=tmp_path / "state")
    assert list(files(tmp_path / "state")) == [4]


def test_weights_that_overflow_in_the_last_step_of_an_epoch_are_not_saved(
    cohort, make_settings, architecture, states, monkeypatch
):
    original = Distillation.step

    def overflowing(self, *arguments):
        result = original(self, *arguments)
        next(self.student.parameters()).data.fill_(torch.inf)
        return result

    monkeypatch.setattr(Distillation, "step", overflowing)
    monkeypatch.setattr(Distillation, "evaluate", lambda *_: torch.zeros(3))
    settings = make_settings(samples_per_epoch=4)
    with pytest.raises(InputError, match=r"weight is no finite number at step 0 \(epoch 0\) with learning rate"):
        train.pretrain(cohort, architecture, settings, CPU, 1, states)
    assert states.load() is None


def test_a_batch_that_does_not_fit_names_one_that_does(cohort, make_settings, architecture, states, monkeypatch):
    """No memory is short here: a step of more than two pairs is made to fail as torch fails."""
    original = Distillation.step

    def limited(self, views, *rest):
        if len(views[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, views, *rest)

    monkeypatch.setattr(Distillation, "step", limited)
    with pytest.raises(InputError, match=r"step of batch_size 8 needs .* set pretrain\.batch_size to 2: a step of"):
        train.pretrain(cohort, architecture, make_settings(batch_size=8), CPU, 1, states)


def test_smaller_batches_divide_the_epoch(make_settings):
    assert list(smaller_sizes(make_settings(batch_size=15, samples_per_epoch=45))) == [5, 1]
    assert list(smaller_sizes(make_settings(batch_size=64, samples_per_epoch=9600))) == [32, 16, 8, 4, 2, 1]
