import json
import os
import signal

import numpy as np
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, read_yaml, write_yaml
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain import pretrain_settings, train
from workflow_scripts.pretrain.batches import Purpose, Source, draw_order
from workflow_scripts.pretrain.checkpoint import StateFile, encoder_state, load_encoder
from workflow_scripts.pretrain.cohort import open_cohort
from workflow_scripts.pretrain.pretrain import training_digest
from workflow_scripts.pretrain.ranks import ALONE, Ranks
from workflow_scripts.pretrain.student import build_encoder

NO_STATE = StateFile(None, "")
CPU = torch.device("cpu")
STAGES = ("_stage1", "_stage2", "_stage3")
TIMES = ("images_per_second", "seconds")


@pytest.fixture
def run_rule(tmp_path, mapping, make_dataset):
    """Run the rule's command line; returns the folder of its outputs."""
    dataset = make_dataset()

    def run(name="run", state=None, **changes):
        folder = tmp_path / name
        write_yaml(folder / "settings.yaml", mapping | changes)
        options = {"settings": folder / "settings.yaml", "dataset": dataset, "device": "cpu", "state": state}
        options |= {"encoder": folder / "encoder.pt", "curves": folder / "curves.tsv", "rankme": folder / "rankme.tsv"}
        pretrain_rule.main([word for key, value in options.items() if value for word in (f"--{key}", str(value))])
        return folder

    return run


@pytest.fixture
def cohort(make_dataset):
    return open_cohort(make_dataset(), 1, True, 1)


def column(folder, name, table="curves.tsv"):
    return [float(row[name]) for row in read_tsv(folder / table)]


def test_settings_file_holds_the_configuration_and_the_pretrainings_own_entry(tmp_path, mapping):
    own = ("pretraining", "image_set", "channels", "symmetry", "method", "seed")
    section = {key: value for key, value in mapping.items() if key not in (*own, "optimiser")}
    section["optimisers"] = {"robust": mapping["optimiser"], "paper": mapping["optimiser"] | {"learning_rate": 0.1}}
    words = ["--pretraining", "ALL-SA", "--image-set", "ALL", "--channels", "ncct", "--symmetry", "true", "--seed", "7"]
    pretrain_settings.main([*words, "--config", json.dumps(section), "--output", str(tmp_path / "settings.yaml")])
    assert read_yaml(tmp_path / "settings.yaml") == mapping


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples_per_epoch": 18}, "samples_per_epoch 18 is not a multiple of batch_size 4"),
        ({"slab_slices": 5}, "slab_slices 5 is below the 6 slices"),
        ({"colour": 1}, "unknown .'colour'"),
        ({"head": {"hidden": 8}}, "settings.head, keys are missing .'bottleneck', 'prototypes'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make_settings, changes, message):
    with pytest.raises(InputError, match=message):
        make_settings(**changes)


def test_a_short_training_lowers_the_loss(run_rule):
    """Against fixed targets: a teacher that moves along makes the loss of so few steps hard to compare."""
    fixed = {"start": 1.0, "end": 1.0}
    sharp = {"start": 0.04, "end": 0.04, "warmup_epochs": 1}
    folder = run_rule(epochs=8, teacher_momentum=fixed, teacher_temperature=sharp)
    losses = column(folder, "train_loss")
    assert np.mean(losses[-2:]) < 0.9 * losses[0]


def test_a_second_run_gives_the_same_encoder_and_curves_bit_for_bit(run_rule):
    first, second = run_rule("one"), run_rule("two")
    assert (first / "encoder.pt").read_bytes() == (second / "encoder.pt").read_bytes()
    assert (first / "rankme.tsv").read_bytes() == (second / "rankme.tsv").read_bytes()
    for one, two in zip(read_tsv(first / "curves.tsv"), read_tsv(second / "curves.tsv"), strict=True):
        assert {k: v for k, v in one.items() if k not in TIMES} == {k: v for k, v in two.items() if k not in TIMES}


def test_tables_have_a_row_an_epoch_and_the_promised_columns(run_rule):
    folder = run_rule()
    rows = read_tsv(folder / "curves.tsv")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    losses = [f"{name}_loss{stage}" for name in ("train", "validation") for stage in ("", *STAGES)]
    schedules = ["learning_rate", "weight_decay", "teacher_momentum", "teacher_temperature"]
    monitors = ["teacher_entropy", "teacher_kl_uniform", "teacher_information", "feature_deviation"]
    assert list(rows[0]) == ["epoch", *losses, *schedules, *monitors, "images_per_second", "seconds"]
    assert all(value for row in rows for value in row.values())
    for row in rows:
        for name in ("train", "validation"):
            stages = [float(row[f"{name}_loss_stage{stage}"]) for stage in (1, 2, 3)]
            assert float(row[f"{name}_loss"]) == pytest.approx(np.mean(stages), rel=1e-4)
    assert column(folder, "samples", "rankme.tsv") == [10, 10]
    assert all(1 <= value <= 10 for value in column(folder, "rankme", "rankme.tsv"))


def test_encoder_file_describes_itself_and_loads_into_nnunets_network(run_rule, architecture):
    path = run_rule() / "encoder.pt"
    encoder, info = load_encoder(path)
    assert info["cases"] == [f"A/c{number}" for number in range(6)]
    assert info["splits"] == ["train"] and info["image_set"] == "ALL" and info["channels"] == ["ncct"]
    assert info["settings"]["seed"] == 7 and info["architecture"] == architecture
    assert info["plans"]["configurations"]["3d_fullres"]["architecture"] == architecture and len(info["code"]) == 64
    network = get_network_from_plans(*architecture.values(), 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(encoder_state(path), strict=True)
    network.eval()
    image = torch.randn(1, 1, 8, 16, 16)
    for ours, theirs in zip(encoder(image), network.encoder(image), strict=True):
        assert torch.equal(ours, theirs)


def test_kept_weights_are_the_teachers(cohort, architecture, make_settings):
    trained = train.pretrain(
        cohort,
        architecture,
        make_settings(teacher_momentum={"start": 1.0, "end": 1.0}),
        CPU,
        1,
        NO_STATE,
    )
    torch.manual_seed(make_settings().seed)
    untouched = build_encoder(architecture, 1)
    for name, value in trained.encoder.state_dict().items():
        assert torch.equal(value, untouched.state_dict()[name])


def test_gradients_see_only_the_splits_of_the_settings(cohort, make_settings, architecture, monkeypatch):
    seen = {purpose: set() for purpose in Purpose}
    original = Source.batches

    def recording(self, purpose, *rest):
        seen[purpose] |= {scan.split for scan in self._scans}
        return original(self, purpose, *rest)

    monkeypatch.setattr(Source, "batches", recording)
    train.pretrain(cohort, architecture, make_settings(epochs=1), CPU, 1, NO_STATE)
    assert seen[Purpose.TRAINING] == seen[Purpose.RANKME] == {"train"}
    assert seen[Purpose.VALIDATION] == {"validation"}


def test_validation_has_no_influence_on_the_result(run_rule):
    few, many = run_rule("few", validation_samples=2), run_rule("many", validation_samples=9)
    one, two = encoder_state(few / "encoder.pt"), encoder_state(many / "encoder.pt")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert column(few, "train_loss") == column(many, "train_loss")
    assert column(few, "validation_loss") != column(many, "validation_loss")


def test_without_validation_cases_its_columns_are_empty(make_dataset, make_settings, architecture):
    cohort = open_cohort(make_dataset(splits=("train",) * 4), 1, True, 1)
    trained = train.pretrain(cohort, architecture, make_settings(epochs=1), CPU, 1, NO_STATE)
    assert trained.curves[0]["validation_loss"] is None and trained.curves[0]["validation_loss_stage3"] is None


def test_views_of_a_step_depend_on_its_place_alone_not_on_threads(cohort, make_settings):
    scans, settings = cohort.of_splits(["train"]), make_settings()
    sources = [Source(scans, settings, CPU, threads, ALONE) for threads in (1, 3)]
    runs = [list(source.batches(Purpose.TRAINING, 1, 8)) for source in sources]
    for one, two in zip(*runs, strict=True):
        assert torch.equal(one[0].augmented(), two[0].augmented())
    assert torch.equal(next(sources[0].batches(Purpose.TRAINING, 1, 8, 1))[0].augmented(), runs[0][1][0].augmented())
    other = next(sources[0].batches(Purpose.TRAINING, 2, 8))
    assert not torch.equal(other[0].plain, runs[0][0][0].plain)


def test_processes_share_a_batch_whose_views_do_not_depend_on_their_number(cohort, make_settings):
    settings = make_settings(local_views={"count": 2, "patch_size": [4, 8, 8], "scale": [0.8, 1.2]})

    def first_batch(ranks):
        return next(Source(cohort.of_splits(["train"]), settings, CPU, 1, ranks).batches(Purpose.TRAINING, 0, 16))

    whole, parts = first_batch(ALONE), [first_batch(Ranks(rank, 2)) for rank in range(2)]
    for group, views in enumerate(whole):
        halves = [part[group].augmented().unflatten(0, (-1, 2)) for part in parts]
        together = torch.cat(halves, 1).flatten(0, 1)
        torch.testing.assert_close(together, views.augmented(), atol=1e-5, rtol=1e-5)


def test_images_kept_on_the_device_give_the_same_views_but_for_half_precision(cohort, make_settings):
    batches = [
        next(
            Source(cohort.of_splits(["train"]), make_settings(images_on_device=kept), CPU, 1, ALONE).batches(
                Purpose.TRAINING, 0, 16
            )
        )
        for kept in ("always", "never")
    ]
    torch.testing.assert_close(batches[0][0].plain, batches[1][0].plain, atol=2e-3, rtol=0)
    for name, values in vars(batches[0][0].parameters).items():
        assert np.array_equal(values, getattr(batches[1][0].parameters, name))


def test_every_image_is_drawn_equally_often():
    counts = np.bincount(draw_order(7, 30, 1, Purpose.TRAINING, 0), minlength=7)
    assert counts.min() == 4 and counts.max() == 5
    assert not np.array_equal(draw_order(7, 30, 1, Purpose.TRAINING, 0), draw_order(7, 30, 1, Purpose.TRAINING, 1))


def test_batches_hold_first_views_then_second_views(cohort, make_settings):
    still = {name: v | {"probability": 0.0} for name, v in make_settings().to_mapping()["augmentation"].items()}
    settings = make_settings(symmetry=False, parent_scale=[1.0, 1.0], view_scale=[1.0, 1.0], augmentation=still)
    (views,) = next(Source(cohort.of_splits(["train"]), settings, CPU, 1, ALONE).batches(Purpose.TRAINING, 0, 4))
    assert views.plain.shape == (8, 1, 6, 12, 12)
    first, second = views.plain.chunk(2)
    assert torch.equal(first, second)


@pytest.fixture
def at_call(monkeypatch):
    """Do something before the n-th call (counted from 1) of a method of the learner."""

    def arrange(method, number, action):
        original, calls = getattr(train.Distillation, method), []

        def acting(self, *arguments, **keywords):
            calls.append(1)
            if len(calls) == number:
                action()
            return original(self, *arguments, **keywords)

        monkeypatch.setattr(train.Distillation, method, acting)

    return arrange


def warn():
    os.kill(os.getpid(), signal.SIGTERM)


def stop():
    raise KeyboardInterrupt


# An epoch has 4 steps, 2 batches of validation and 3 of RankMe.
@pytest.mark.parametrize(
    ("method", "number", "action", "error"),
    [
        ("step", 6, warn, Interrupted),
        ("step", 8, warn, Interrupted),
        ("step", 12, warn, Interrupted),
        ("evaluate", 6, warn, Interrupted),
        ("step", 5, stop, KeyboardInterrupt),
        ("step", 11, stop, KeyboardInterrupt),
    ],
)
def test_a_stopped_training_continues_to_the_same_weights(run_rule, tmp_path, at_call, method, number, action, error):
    undisturbed = run_rule("undisturbed", epochs=3)
    at_call(method, number, action)
    with pytest.raises(error):
        run_rule("resumed", state=tmp_path / "state", epochs=3)
    assert not (tmp_path / "resumed" / "encoder.pt").exists()
    resumed = run_rule("resumed", state=tmp_path / "state", epochs=3)
    assert (resumed / "encoder.pt").read_bytes() == (undisturbed / "encoder.pt").read_bytes()
    for name in read_tsv(undisturbed / "curves.tsv")[0]:
        if name not in TIMES:
            assert column(resumed, name) == column(undisturbed, name), name
    assert (resumed / "rankme.tsv").read_bytes() == (undisturbed / "rankme.tsv").read_bytes()
    assert not list((tmp_path / "state").iterdir())


def test_a_warned_training_ends_after_the_running_step_and_repeats_none(run_rule, tmp_path, at_call, monkeypatch):
    state, steps = tmp_path / "state", []
    at_call("step", 6, warn)
    original = train.Distillation.step

    def noted(self, inputs, step):
        steps.append(step)
        return original(self, inputs, step)

    monkeypatch.setattr(train.Distillation, "step", noted)
    with pytest.raises(Interrupted, match="SIGTERM"):
        run_rule("warned", state=state, epochs=3)
    assert steps == [0, 1, 2, 3, 4, 5]
    run_rule("warned", state=state, epochs=3)
    assert steps[6:] == [6, 7, 8, 9, 10, 11]


def test_a_damaged_state_is_told_and_training_starts_anew(tmp_path, caplog):
    state = StateFile(tmp_path, "0" * 64)
    state.path.write_bytes(b"no checkpoint")
    assert state.load() is None and "damaged" in caplog.text


def test_a_state_belongs_to_settings_images_and_plans(cohort, make_dataset, make_settings):
    digest = training_digest(make_settings(), cohort, {})
    assert training_digest(make_settings(), cohort, {}) == digest
    other = open_cohort(make_dataset(splits=("train",) * 3, folder="other"), 1, True, 1)
    changed = {
        training_digest(make_settings(seed=8), cohort, {}),
        training_digest(make_settings(), other, {}),
        training_digest(make_settings(), cohort, {"plans": 1}),
    }
    assert digest not in changed and len(changed) == 3


def test_a_loss_that_is_no_number_stops_with_step_and_learning_rate(cohort, make_settings, architecture, monkeypatch):
    original = train.Distillation.step
    calls = []

    def failing(self, *arguments, **keywords):
        calls.append(1)
        losses = original(self, *arguments, **keywords)
        return losses * torch.nan if len(calls) == 6 else losses

    monkeypatch.setattr(train.Distillation, "step", failing)
    with pytest.raises(InputError, match=r"step 5 \(epoch 1\) with learning rate 0\.000"):
        train.pretrain(cohort, architecture, make_settings(), CPU, 1, NO_STATE)


def test_a_dataset_that_does_not_fit_is_refused(make_dataset, make_settings, architecture):
    root = make_dataset(splits=("train",) * 2)
    with pytest.raises(InputError, match="A/c0: the array has 1 channels, the settings name 2"):
        open_cohort(root, 2, True, 1)
    (root / "companions" / "A__c1.b2nd").unlink()
    assert len(open_cohort(root, 1, False, 1).scans) == 2
    with pytest.raises(InputError, match=r"A/c1: A__c1\.b2nd not found"):
        open_cohort(root, 1, True, 1)
    with pytest.raises(InputError, match=r"No case is in splits \['test'\]"):
        train.pretrain(
            open_cohort(root, 1, False, 1),
            architecture,
            make_settings(splits=["test"]),
            CPU,
            1,
            NO_STATE,
        )


def test_two_channels_train(make_dataset, make_settings, architecture):
    cohort = open_cohort(make_dataset(channels=2), 2, True, 1)
    settings = make_settings(channels=["ncct", "difference"], epochs=1)
    trained = train.pretrain(cohort, architecture, settings, CPU, 1, NO_STATE)
    assert trained.encoder.stages[0][0].convs[0].conv.in_channels == 2
