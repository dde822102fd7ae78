"""Train nnU-Net on the lesions of an arm with one seed (paper 3.5)."""

import argparse
import hashlib
import io
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.common import seeds
from workflow_scripts.common.claims import Claim
from workflow_scripts.common.cli import run
from workflow_scripts.common.device import choose_device, device_name
from workflow_scripts.common.files import read_json, read_tsv, read_yaml, replacing, write_tsv
from workflow_scripts.common.nnunet.arrays import arrays_digest, require_properties
from workflow_scripts.common.nnunet.cases import COLUMNS
from workflow_scripts.common.nnunet.folders import nnunet_folders
from workflow_scripts.common.nnunet.network import build_network, load_encoder, read_encoder
from workflow_scripts.common.nnunet.plans import CONFIGURATION, read_plans
from workflow_scripts.common.out_of_memory import memory_shortage_told
from workflow_scripts.common.saved_states import States
from workflow_scripts.common.training_store import open_training
from workflow_scripts.finetune.training.batches import seed_everything
from workflow_scripts.finetune.training.record import epoch_rows
from workflow_scripts.finetune.training.settings import FinetuneSettings, parse_settings
from workflow_scripts.finetune.training.trainer import StudyTrainer
from workflow_scripts.study.code_digest import code_digest

log = logging.getLogger(__name__)

CURVES = (
    "epoch",
    "train_loss",
    "validation_loss",
    "pseudo_dice",
    "ema_pseudo_dice",
    "learning_rate",
    "seconds",
    "device",
)
HARMLESS = ("compile", "save_minutes")
MEMORY = (
    "lower nnunet.gpu_memory_gb, nnunet.batch_size or nnunet.patch_size; or raise resources.finetune.mem_mb, or take a "
    "GPU with more memory."
)


def train(
    dataset: Path,
    settings: FinetuneSettings,
    encoder: Mapping[str, Any] | None,
    seed: int,
    state: Path,
    device: torch.device,
    workers: int,
    cases: Path | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train once and return the best epoch's checkpoint and the rows of the learning curves.

    Parameters
    ----------
    dataset
        folder of `finetune_dataset`: fingerprint.json, plans.json, dataset.json, cases.tsv, arrays/
    encoder
        content of ``encoder.pt``, or None to train from scratch
    seed
        of the first weights and of each batch and step, whoever makes the batch; a run on the CPU repeats bit by bit
    state
        folder for saved states and nnU-Net's own files, of this training alone: a training that was cut short goes on
        from there, by the folder's name
    workers
        processes that make the batches, in addition half as many for validation
    cases
        table of `finetune_subset`: the cases of the dataset that take part; None: all
    """
    plans, description = read_plans(dataset / "plans.json"), read_json(dataset / "dataset.json")
    rows = read_tsv(cases or dataset / "cases.tsv", COLUMNS)
    without_lesion = [
        f"{row['cohort']}/{row['case']}" for row in rows if row["split"] == "train" and row["label_voxels"] == "0"
    ]
    if without_lesion:
        log.warning(
            "a patch drawn for the lesion is a random one in cases that have none: %s", ", ".join(without_lesion)
        )
    keys = {split: [row["key"] for row in rows if row["split"] == split] for split in ("train", "validation")}
    with nnunet_folders(state, workers=0):
        _link_dataset(dataset, plans, state / "preprocessed")
        seed_everything(seed)
        trainer = StudyTrainer({**plans, "continue_training": False}, CONFIGURATION, 0, description, device)
        trainer.configure(settings, keys["train"], keys["validation"], seed, States(state, state.name), workers)
        trainer.initialize()
        if encoder is not None:
            load_encoder(trainer.bare_network, plans, encoder)
        trainer.run_training()
        return trainer.best_checkpoint() | {"without_lesion": without_lesion}, epoch_rows(
            trainer.logger.get_checkpoint()
        )


def require_network(dataset: Path, encoder: Mapping[str, Any] | None) -> None:
    """Raise `InputError` where the dataset's plans make no network, or one that the encoder does not fit."""
    plans = read_plans(dataset / "plans.json")
    channels = read_json(dataset / "dataset.json", ["channel_names", "labels"])["channel_names"]
    network = build_network(plans, len(channels), 2, deep_supervision=True)
    if encoder is not None:
        load_encoder(network, plans, encoder)


def model_of(checkpoint: Mapping[str, Any], settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return what inference needs of a checkpoint, under nnU-Net's own keys, the same for equal runs."""
    return {
        "network_weights": checkpoint["network_weights"],
        "trainer_name": checkpoint["trainer_name"],
        "init_args": {**checkpoint["init_args"], "device": "cpu"},
        "inference_allowed_mirroring_axes": checkpoint["inference_allowed_mirroring_axes"],
        "current_epoch": checkpoint["current_epoch"],
        "_best_ema": checkpoint["_best_ema"],
        "precisions": checkpoint["precisions"],
        "without_lesion": checkpoint["without_lesion"],
        "settings": dict(settings),
        "seed": seed,
    }


def describe(
    dataset: Path,
    settings: Mapping[str, Any],
    encoder: Mapping[str, Any] | None,
    seed: int,
    threads: int,
    cases: Path | None = None,
) -> dict[str, Any]:
    """Return what decides a training: settings, seed, plans, cases, and digests of the arrays' and encoder's values."""
    rows = read_tsv(cases or dataset / "cases.tsv", COLUMNS)
    require_properties(dataset / "arrays", [row["key"] for row in rows])
    return {
        "settings": {key: value for key, value in settings.items() if key not in HARMLESS},
        "seed": seed,
        "plans": read_plans(dataset / "plans.json"),
        "dataset": read_json(dataset / "dataset.json"),
        "cases": [f"{row['key']} {row['split']}" for row in rows],
        "arrays": arrays_digest(dataset / "arrays", [row["key"] for row in rows], threads),
        "encoder": None if encoder is None else weights_digest(encoder["state_dict"]),
    }


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """Digest of the names and values of weights."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _link_dataset(dataset: Path, plans: Mapping[str, Any], preprocessed: Path) -> None:
    """Show the dataset under the names that nnU-Net looks for.

    The arrays are linked one by one: nnU-Net tells their format by all that lies in their folder, and Snakemake
    leaves a time stamp there.
    """
    folder = preprocessed / plans["dataset_name"]
    shutil.rmtree(folder, ignore_errors=True)
    arrays = folder / plans["configurations"][CONFIGURATION]["data_identifier"]
    arrays.mkdir(parents=True)
    (folder / "dataset_fingerprint.json").symlink_to((dataset / "fingerprint.json").absolute())
    for suffix in (".b2nd", ".pkl"):
        for file in (dataset / "arrays").glob(f"*{suffix}"):
            (arrays / file.name).symlink_to(file.absolute())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings.yaml of the arm")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the arm's dataset")
    parser.add_argument("--cases", type=Path, help="TSV: cases of the dataset that take part; all if not given")
    parser.add_argument("--encoder", type=Path, help="encoder.pt of a pretraining")
    parser.add_argument("--seed", type=int, required=True, help="of the study")
    parser.add_argument("--number", type=int, required=True, help="which of the arm's trainings: run.seeds")
    parser.add_argument("--state", type=Path, required=True, help="folder to resume from, and to keep the model in")
    parser.add_argument("--retrain", action=argparse.BooleanOptionalAction, default=False, help="though it is trained")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--out-checkpoint", type=Path, required=True)
    parser.add_argument("--out-curves", type=Path, required=True)
    return parser.parse_args(argv)


@memory_shortage_told(MEMORY)
def main(argv: Sequence[str] | None = None) -> None:
    """Read settings, dataset and encoder, train, write the model and its curves."""
    arguments = _parse(argv)
    device = choose_device(arguments.gpus)
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.benchmark = True
    settings = read_yaml(arguments.settings)
    parsed = parse_settings(settings, arguments.settings.name)
    seed = seeds.integer(arguments.seed, "finetune", arguments.number)
    encoder = read_encoder(arguments.encoder) if arguments.encoder else None
    require_network(arguments.dataset, encoder)
    began = describe(arguments.dataset, settings, encoder, seed, arguments.threads, arguments.cases)
    with Claim(arguments.state) as claim:
        claim.wait()
        _train_or_put_back(arguments, began, settings, parsed, encoder, seed, device)


def _train_or_put_back(
    arguments: argparse.Namespace,
    began: Mapping[str, Any],
    settings: Mapping[str, Any],
    parsed: FinetuneSettings,
    encoder: Mapping[str, Any] | None,
    seed: int,
    device: torch.device,
) -> None:
    training = open_training(
        arguments.state,
        began,
        code_digest("finetune.finetune"),
        [arguments.out_checkpoint, arguments.out_curves],
        arguments.retrain,
    )
    if training.finished:
        log.info("trained before with these settings and data: the model of then is put back")
        training.restore()
        return
    best, rows = train(
        arguments.dataset,
        parsed,
        encoder,
        seed,
        training.folder,
        device,
        workers=0 if device.type == "cpu" else max(arguments.threads - 1, 0),
        cases=arguments.cases,
    )
    buffer = io.BytesIO()
    torch.save(model_of(best, settings, seed), buffer)
    with replacing(arguments.out_checkpoint) as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_tsv(arguments.out_curves, [row | {"device": device_name(device)} for row in rows], CURVES)
    training.finish()


if __name__ == "__main__":
    run(main)
