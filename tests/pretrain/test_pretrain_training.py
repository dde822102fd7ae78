import hashlib
import shutil

import numpy as np
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common import seeds
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain.distributed import ALONE, Processes
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder
from workflow_scripts.pretrain.engine import loop as train
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.pretrain import TIMES
from workflow_scripts.pretrain.views.batches import Purpose, Source, draw_order
from workflow_scripts.pretrain.views.scans import open_cohort
from workflow_scripts.study.code_digest import code_digest

CPU = torch.device("cpu")
STAGES = ("_stage1", "_stage2", "_stage3")


@pytest.fixture
def cohort(make_dataset):
    return open_cohort(make_dataset(), 1, True, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown .'colour'"),
        ({"projection_head": {"hidden": 8}}, "settings.projection_head, keys are missing .'bottleneck', 'prototypes'"),
    ],
)
def test_settings_with_other_keys_are_refused(make_settings, changes, message):
    with pytest.raises(InputError, match=message):
        make_settings(**changes)


def test_a_short_training_lowers_the_loss(run_rule, column):
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


def test_tables_have_a_row_an_epoch_and_the_promised_columns(run_rule, column):
    folder = run_rule()
    rows = read_tsv(folder / "curves.tsv")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    losses = [f"{name}_loss{stage}" for name in ("train", "validation") for stage in ("", *STAGES)]
    schedules = ["learning_rate", "weight_decay", "teacher_momentum", "teacher_temperature"]
    monitors = ["teacher_entropy", "teacher_kl_uniform", "teacher_information", "feature_deviation"]
    assert list(rows[0]) == ["epoch", *losses, *schedules, *monitors, "images_per_second", "seconds", "device"]
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
    assert info["plans"]["configurations"]["3d_fullres"]["architecture"] == architecture
    assert info["code"] == [code_digest("pretrain.pretrain")]
    network = get_network_from_plans(*architecture.values(), 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(read_encoder(path)["state_dict"], strict=True)
    network.eval()
    image = torch.randn(1, 1, 8, 16, 16)
    for ours, theirs in zip(encoder(image), network.encoder(image), strict=True):
        assert torch.equal(ours, theirs)


def test_encoder_file_and_model_card_tell_input_network_cases_and_result(run_rule, column, architecture):
    folder = run_rule()
    info, card = read_encoder(folder / "encoder.pt"), (folder / "model_card.md").read_text()
    assert info["spacing_mm"] == [1.0, 1.0, 1.0] and info["patch_size"] == [6, 12, 12]
    assert info["intensities"]["0"]["mean"] == 35.0 and info["statistics_cases"] == info["cases"]
    assert info["metrics"]["train_loss"] == pytest.approx(column(folder, "train_loss")[-1], rel=1e-5)
    assert info["metrics"]["rankme"] == pytest.approx(column(folder, "rankme", "rankme.tsv")[-1], rel=1e-5)
    lines = "".join(f"A/c{number}\ttrain\n" for number in range(6))
    assert info["case_list"] == hashlib.sha256(lines.encode()).hexdigest() and info["case_list"] in card
    arguments = architecture["arch_kwargs"]
    stages = zip(arguments["features_per_stage"], arguments["kernel_sizes"], arguments["strides"], strict=True)
    for number, (features, kernel, stride) in enumerate(stages, start=1):
        sizes = [" × ".join(map(str, size)) for size in (kernel, stride)]
        assert f"| {number} | {features} | {sizes[0]} | {sizes[1]} |" in card
    assert "| ncct | 35 | 8 | 5 | 70 |" in card and "6 images of the splits train" in card
    assert f"| train_loss | {info['metrics']['train_loss']:.4g} |" in card


def test_kept_weights_are_the_teachers(cohort, architecture, make_settings, states):
    trained = train.pretrain(
        cohort,
        architecture,
        make_settings(teacher_momentum={"start": 1.0, "end": 1.0}),
        CPU,
        1,
        states,
    )
    torch.manual_seed(seeds.integer(make_settings().seed, "pretrain network"))
    untouched = build_encoder(architecture, 1)
    for name, value in trained.encoder.state_dict().items():
        assert torch.equal(value, untouched.state_dict()[name])


def test_gradients_see_only_the_splits_of_the_settings(cohort, make_settings, architecture, monkeypatch, states):
    seen = {purpose: set() for purpose in Purpose}
    original = Source.batches

    def recording(self, purpose, *rest):
        seen[purpose] |= {scan.split for scan in self._scans}
        return original(self, purpose, *rest)

    monkeypatch.setattr(Source, "batches", recording)
    train.pretrain(cohort, architecture, make_settings(epochs=1), CPU, 1, states)
    assert seen[Purpose.TRAINING] == seen[Purpose.RANKME] == {"train"}
    assert seen[Purpose.VALIDATION] == {"validation"}


def test_validation_has_no_influence_on_the_result(run_rule, column):
    few, many = run_rule("few", validation_samples=2), run_rule("many", validation_samples=9)
    one, two = (read_encoder(folder / "encoder.pt")["state_dict"] for folder in (few, many))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert column(few, "train_loss") == column(many, "train_loss")
    assert column(few, "validation_loss") != column(many, "validation_loss")


def test_without_validation_cases_its_columns_are_empty(make_dataset, make_settings, architecture, states):
    cohort = open_cohort(make_dataset(splits=("train",) * 4), 1, True, 1)
    trained = train.pretrain(cohort, architecture, make_settings(epochs=1), CPU, 1, states)
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

    def first_batch(processes):
        return next(Source(cohort.of_splits(["train"]), settings, CPU, 1, processes).batches(Purpose.TRAINING, 0, 16))

    whole, parts = first_batch(ALONE), [first_batch(Processes(rank, 2)) for rank in range(2)]
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


def test_images_in_memory_give_the_very_views_of_their_files(make_dataset, make_settings):
    folder = make_dataset(splits=("train",) * 4)
    scans = open_cohort(folder, 1, True, 1).scans
    files, memory = (Source(scans, make_settings(images_on_device=kept), CPU, 1, ALONE) for kept in ("never", "auto"))
    read = next(files.batches(Purpose.TRAINING, 0, 8))[0].augmented()
    shutil.rmtree(folder)
    assert torch.equal(next(memory.batches(Purpose.TRAINING, 0, 8))[0].augmented(), read)


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


def test_a_dataset_that_does_not_fit_is_refused(make_dataset, make_settings, architecture, states):
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
            states,
        )


def test_a_training_without_centring_and_sharpening_stops_as_collapsed(cohort, architecture, make_settings, tmp_path):
    """The teacher then gives all images the same probabilities; the same bounds leave a sound training alone."""
    common = {
        "epochs": 5,
        "samples_per_epoch": 64,
        "batch_size": 8,
        "alarm": {"feature_deviation": 0.0, "information": 1e-3, "epochs": 3, "first_epoch": 2},
        "teacher_momentum": {"start": 0.9, "end": 1.0},
        "optimiser": make_settings().to_mapping()["optimiser"]
        | {"learning_rate": 1e-2, "warmup_epochs": 0, "frozen_last_layer_epochs": 0},
    }
    sharp, blunt = ({"start": t, "end": t, "warmup_epochs": 1} for t in (0.03, 0.1))
    sound = make_settings(**common, teacher_temperature=sharp)
    assert len(train.pretrain(cohort, architecture, sound, CPU, 1, States(tmp_path / "sound")).curves) == 5
    collapsing = make_settings(**common, teacher_temperature=blunt, centre_momentum=1.0)
    with pytest.raises(InputError, match=r"collapsed: teacher_information .* in the last 3 epochs, below"):
        train.pretrain(cohort, architecture, collapsing, CPU, 1, States(tmp_path / "blunt"))


def test_two_channels_train(make_dataset, make_settings, architecture, states):
    cohort = open_cohort(make_dataset(channels=2), 2, True, 1)
    settings = make_settings(channels=["ncct", "difference"], epochs=1)
    trained = train.pretrain(cohort, architecture, settings, CPU, 1, states)
    assert trained.encoder.stages[0][0].convs[0].conv.in_channels == 2
