"""Trainings: they repeat, resume, freeze and choose their best epoch as promised."""

import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.logging.nnunet_logger import MetaLogger

from tests.beside import second_waits
from tests.finetune.study import dataset_options, write_case, write_study
from tests.finetune.trainings import SETTINGS, same, train
from tests.short_of_memory import messages
from tests.stored_arrays import change_voxel, recompress
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, read_yaml, write_tsv, write_yaml
from workflow_scripts.common.nnunet.network import build_network, read_checkpoint
from workflow_scripts.common.nnunet.plans import architecture
from workflow_scripts.finetune import finetune, finetune_dataset
from workflow_scripts.finetune.finetune import CURVES
from workflow_scripts.finetune.training.record import StudyLogger, epoch_rows, smoothed
from workflow_scripts.finetune.training.settings import EncoderTraining
from workflow_scripts.finetune.training.trainer import StudyTrainer, with_lesion


def test_training_repeats_bit_by_bit(dataset, uninterrupted, tmp_path):
    model, curves = train(dataset, tmp_path)
    assert same(model, uninterrupted[0])
    assert curves == uninterrupted[1]


def test_another_seed_gives_another_training(dataset, uninterrupted, tmp_path):
    model, _ = train(dataset, tmp_path, seed=2)
    assert not same(model, uninterrupted[0])


def test_training_starts_from_the_encoder_and_frozen_it_stays(dataset, encoder, tmp_path):
    model, _ = train(dataset, tmp_path, replace(SETTINGS, encoder=EncoderTraining(3, 1.0, 0)), encoder=encoder)
    weights = model["network_weights"]
    for key, value in encoder["state_dict"].items():
        assert torch.equal(weights[f"encoder.{key}"], value)
    decoder = build_network(read_json(dataset / "plans.json"), 1, 2, deep_supervision=True).decoder.state_dict()
    assert weights.keys() >= {f"decoder.{key}" for key in decoder}


def test_encoder_trains_once_its_frozen_epochs_are_over(dataset, encoder, tmp_path, monkeypatch):
    moved = []
    end = StudyTrainer.on_train_epoch_end

    def watch(trainer, outputs):
        now = trainer.bare_network.encoder.state_dict()
        moved.append(not all(torch.equal(now[key], value) for key, value in encoder["state_dict"].items()))
        end(trainer, outputs)

    monkeypatch.setattr(StudyTrainer, "on_train_epoch_end", watch)
    train(dataset, tmp_path, replace(SETTINGS, encoder=EncoderTraining(1, 1.0, 0)), encoder=encoder)
    assert moved == [False, True, True]


def test_optimiser_is_nnunets_with_the_settings_rate_and_momentum(dataset, tmp_path, monkeypatch):
    groups = []
    end = StudyTrainer.on_epoch_end
    monkeypatch.setattr(
        StudyTrainer, "on_epoch_end", lambda trainer: (groups.extend(trainer.optimizer.param_groups), end(trainer))
    )
    _, rows = train(dataset, tmp_path, replace(SETTINGS, momentum=0.8))
    assert {(group["momentum"], group["nesterov"], group["weight_decay"]) for group in groups} == {(0.8, True, 3e-5)}
    assert [row["learning_rate"] for row in rows] == pytest.approx(
        [0.01 * (1 - epoch / 3) ** 0.9 for epoch in range(3)]
    )


def test_encoder_has_a_learning_rate_and_a_warm_up_of_its_own(dataset, encoder, tmp_path, monkeypatch):
    rates = []
    step = StudyTrainer.train_step

    def watch(trainer, batch):
        rates.append({group["name"]: group["lr"] for group in trainer.optimizer.param_groups})
        return step(trainer, batch)

    monkeypatch.setattr(StudyTrainer, "train_step", watch)
    settings = replace(SETTINGS, iterations_per_epoch=1, epochs=4, encoder=EncoderTraining(1, 0.5, 1))
    _, rows = train(dataset, tmp_path, settings, encoder=encoder)
    assert [rate["encoder"] / rate["rest"] for rate in rates] == pytest.approx([0.0, 0.25, 0.5, 0.5])
    assert [rate["rest"] for rate in rates] == [row["learning_rate"] for row in rows]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
def test_at_least_half_of_any_batch_shows_a_lesion(batch_size):
    """The choice itself is nnU-Net's: it asks for lesion from this index of the batch on."""
    loader = SimpleNamespace(
        batch_size=batch_size, oversample_foreground_percent=with_lesion(0.5, batch_size) / batch_size
    )
    chosen = [nnUNetDataLoader._oversample_last_XX_percent(loader, index) for index in range(batch_size)]
    assert 2 * sum(chosen) >= batch_size and 2 * (sum(chosen) - 1) < batch_size


def test_cases_without_lesion_are_named_in_log_and_model(tmp_path, caplog):
    cases = write_study(tmp_path, ("train", "train", "validation"))
    write_case(tmp_path / "preprocess" / "icoAIS" / "I02", np.random.default_rng(2), lesion=False)
    options = [*dataset_options(tmp_path, tmp_path / "arm"), "--cases", *(f"icoAIS/{case}" for case in cases)]
    finetune_dataset.main(options)
    best, _ = train(tmp_path / "arm", tmp_path, replace(SETTINGS, epochs=1, iterations_per_epoch=1))
    assert best["without_lesion"] == ["icoAIS/I02"]
    assert "random one in cases that have none: icoAIS/I02" in caplog.text


def test_patches_come_from_the_studys_own_split(dataset, tmp_path, monkeypatch):
    seen = {"train_step": set(), "validation_step": set()}
    for name, cases in seen.items():
        step = getattr(StudyTrainer, name)

        def watch(trainer, batch, step=step, cases=cases):
            cases.update(batch["keys"])
            return step(trainer, batch)

        monkeypatch.setattr(StudyTrainer, name, watch)
    train(dataset, tmp_path, replace(SETTINGS, epochs=1, iterations_per_epoch=5))
    assert seen == {"train_step": {"icoAIS__I01", "icoAIS__I02"}, "validation_step": {"icoAIS__I03"}}


def test_smoothed_pseudo_dice_is_nnunets_where_every_epoch_has_one(tmp_path):
    values = [0.1, 0.5, 0.2, 0.9]
    theirs, ours = MetaLogger(str(tmp_path), False), StudyLogger(str(tmp_path), False)
    for epoch, value in enumerate(values):
        theirs.log("mean_fg_dice", value, epoch)
        ours.log("mean_fg_dice", value, epoch)
    assert ours.get_value("ema_fg_dice", None) == pytest.approx(theirs.get_value("ema_fg_dice", None))


def test_epoch_without_a_pseudo_dice_neither_counts_nor_blocks_a_later_best():
    assert smoothed([0.4, math.nan, 0.6]) == pytest.approx(smoothed([0.4, 0.6]))
    assert smoothed([math.nan]) == 0.0
    assert smoothed([math.nan, 0.3]) > smoothed([math.nan])


def test_undefined_pseudo_dice_is_an_empty_cell():
    lists = {
        **{key: [1.0] for key in ("train_losses", "val_losses", "lrs", "ema_fg_dice")},
        "mean_fg_dice": [math.nan],
        "epoch_start_timestamps": [1.0],
        "epoch_end_timestamps": [3.5],
    }
    assert epoch_rows(lists)[0]["pseudo_dice"] is None
    assert epoch_rows(lists)[0]["seconds"] == 2.5


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "settings.yaml"
    settings = replace(SETTINGS, epochs=1, iterations_per_epoch=1, momentum=0.9)
    write_yaml(path, {"arm": "ALL-STKi", "pretraining": "ALL", **asdict(settings)})
    return path


def command_line(dataset: Path, settings: Path, encoder: dict, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    torch.save(encoder, folder / "encoder.pt")
    return [
        *("--settings", str(settings), "--dataset", str(dataset), "--encoder", str(folder / "encoder.pt")),
        *(
            "--seed",
            "3",
            "--number",
            "0",
            "--state",
            str(folder / "state"),
            "--out-checkpoint",
            str(folder / "model.pth"),
        ),
        *("--out-curves", str(folder / "curves.tsv")),
    ]


def run_main(dataset: Path, settings: Path, encoder: dict, folder: Path, *more: str) -> Path:
    finetune.main([*command_line(dataset, settings, encoder, folder), *more])
    return folder / "model.pth"


def test_lack_of_memory_is_told_wherever_it_shows(dataset, settings, encoder, tmp_path):
    trainer = "workflow_scripts.finetune.training.trainer"
    places = {
        f"torch:{trainer}:StudyTrainer.initialize": "this process can get",
        f"torch:{trainer}:StudyTrainer.train_step": "this process can get",
        f"gpu:{trainer}:StudyTrainer.validation_step": "the GPU has",
        f"numpy:{trainer}:StudyTrainer.state_dict": "this process can get",
        "torch:workflow_scripts.finetune.finetune:model_of": "this process can get",
    }
    options = command_line(dataset, settings, encoder, tmp_path / "short")
    told = messages("workflow_scripts.finetune.finetune", options, list(places))
    for place, where in places.items():
        assert told[place].startswith(f"More memory is needed than {where}. Remedy: lower nnunet.gpu_memory_gb"), place


def test_model_has_nnunets_keys_and_the_same_bytes_when_made_again(dataset, settings, encoder, tmp_path):
    first = run_main(dataset, settings, encoder, tmp_path / "first")
    second = run_main(dataset, settings, encoder, tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()
    model = read_checkpoint(first)
    assert model["trainer_name"] == "nnUNetTrainer"
    assert model["init_args"]["configuration"] == "3d_fullres"
    assert model["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert model["settings"] == read_yaml(settings)
    assert list(read_tsv(first.with_name("curves.tsv"))[0]) == list(CURVES)


def test_a_finished_model_comes_back_without_training(dataset, settings, encoder, tmp_path, monkeypatch):
    model = run_main(dataset, settings, encoder, tmp_path)
    trained = model.read_bytes()
    model.unlink()

    monkeypatch.setattr(finetune, "train", None)
    assert run_main(dataset, settings, encoder, tmp_path).read_bytes() == trained
    with pytest.raises(TypeError, match="not callable"):
        run_main(dataset, settings, encoder, tmp_path, "--retrain")


def test_a_training_that_still_runs_is_waited_for_and_its_model_taken(
    dataset, settings, encoder, tmp_path, monkeypatch, caplog
):
    model = second_waits(monkeypatch, lambda: run_main(dataset, settings, encoder, tmp_path), finetune, "train")
    assert f"works in {tmp_path / 'state'}" in caplog.text
    alone = run_main(dataset, settings, encoder, tmp_path / "alone")
    assert model.read_bytes() == alone.read_bytes()


def test_a_dataset_made_again_puts_the_model_back_unless_a_voxel_differs(
    dataset, settings, encoder, tmp_path, monkeypatch
):
    made_again = shutil.copytree(dataset, tmp_path / "arm")
    run_main(made_again, settings, encoder, tmp_path)
    monkeypatch.setattr(finetune, "train", None)
    recompress(made_again)
    run_main(made_again, settings, encoder, tmp_path)
    change_voxel(made_again / "arrays" / "icoAIS__I02_seg.b2nd")
    with pytest.raises(InputError, match=r"other settings or data: arrays was [^;]*\. Remedy"):
        run_main(made_again, settings, encoder, tmp_path)


def test_a_training_on_fewer_labels_reads_no_other_case(dataset, settings, encoder, tmp_path, monkeypatch):
    rows = [row for row in read_tsv(dataset / "cases.tsv") if row["case"] != "I02"]
    write_tsv(tmp_path / "cases.tsv", rows, list(rows[0]))
    only = ("--cases", str(tmp_path / "cases.tsv"))
    whole = shutil.copytree(dataset, tmp_path / "arm")
    trained = run_main(whole, settings, encoder, tmp_path, *only).read_bytes()
    for array in (whole / "arrays").glob("icoAIS__I02*"):
        array.unlink()
    monkeypatch.setattr(finetune, "train", None)
    assert run_main(whole, settings, encoder, tmp_path, *only).read_bytes() == trained
    monkeypatch.undo()
    assert run_main(whole, settings, encoder, tmp_path / "again", *only).read_bytes() == trained
    with pytest.raises(InputError, match=r"other settings or data: .*cases was "):
        run_main(dataset, settings, encoder, tmp_path)


def test_other_settings_or_data_are_not_trained_unasked(dataset, settings, encoder, tmp_path):
    run_main(dataset, settings, encoder, tmp_path)
    changed = tmp_path / "settings.yaml"
    write_yaml(changed, {**read_yaml(settings), "learning_rate": 0.02})
    with pytest.raises(InputError, match=r"settings.learning_rate was 0.01, is now 0.02.*retrain=true"):
        run_main(dataset, changed, encoder, tmp_path)
    other = {**encoder, "state_dict": {name: value + 1 for name, value in encoder["state_dict"].items()}}
    with pytest.raises(InputError, match="encoder was "):
        run_main(dataset, settings, other, tmp_path)
    run_main(dataset, changed, encoder, tmp_path, "--retrain")
    assert len(list((tmp_path / "state").glob("*/finished/model.pth"))) == 2


def test_encoder_of_another_plan_stops_the_training_before_it_begins(dataset, settings, encoder, tmp_path):
    described = architecture(read_json(dataset / "plans.json"))
    described["arch_kwargs"]["strides"][-1] = [1, 2, 2]
    with pytest.raises(InputError, match="strides"):
        run_main(dataset, settings, {**encoder, "architecture": described}, tmp_path)
    assert not (tmp_path / "model.pth").exists()


@pytest.mark.parametrize("choice", ["auto", "never"])
def test_network_is_compiled_on_a_gpu_only_where_that_works(choice, monkeypatch):
    def no_compiler(*_):
        raise RuntimeError("Failed to find C compiler")

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda layer: compiled.append(layer) or no_compiler)
    trainer = SimpleNamespace(device=SimpleNamespace(type="cuda"), compile=choice)
    monkeypatch.setattr(torch.nn, "Conv3d", lambda *_, **__: "layer")
    monkeypatch.setattr(torch, "ones", lambda *_, **__: "voxels")
    assert not StudyTrainer._do_i_compile.__wrapped__(trainer)
    assert compiled == (["layer"] if choice == "auto" else [])
