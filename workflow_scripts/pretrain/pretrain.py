"""Rule pretrain: train an encoder on the arrays of an image set, without labels."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.common.claims import Claim
from workflow_scripts.common.cli import run
from workflow_scripts.common.device import choose_device, device_name
from workflow_scripts.common.files import read_json, read_yaml, write_text, write_tsv
from workflow_scripts.common.nnunet.plans import architecture, read_plans
from workflow_scripts.common.out_of_memory import memory_shortage_told
from workflow_scripts.common.saved_states import States
from workflow_scripts.common.training_curves import chance_loss
from workflow_scripts.common.training_store import open_training
from workflow_scripts.pretrain.distributed import joined, processes_here
from workflow_scripts.pretrain.encoder.checkpoint import save_encoder
from workflow_scripts.pretrain.encoder.description import describe, model_card
from workflow_scripts.pretrain.encoder.initial import InitialWeights, read_initial
from workflow_scripts.pretrain.engine.loop import Trained, pretrain
from workflow_scripts.pretrain.settings import PretrainSettings, parse_settings
from workflow_scripts.pretrain.views.scans import Cohort, open_cohort
from workflow_scripts.study.code_digest import code_digest

log = logging.getLogger(__name__)

HARMLESS = ("accumulate", "alarm", "compile", "save_minutes")
TIMES = ("images_per_second", "seconds")
MEMORY = (
    "lower pretrain.batch_size or pretrain.patch_size, or raise pretrain.accumulate; raise resources.pretrain.mem_mb, "
    "or take a larger GPU."
)


def final_metrics(trained: Trained) -> dict[str, Any]:
    """Return the last rows of the tables but for times, which differ between equal runs, and the loss of chance."""
    last, chance = trained.curves[-1] | trained.rankme[-1], chance_loss(trained.curves[-1])
    kept = {name: value for name, value in last.items() if name not in ("epoch", *TIMES)}
    return kept if chance is None else kept | {"chance_loss": chance}


def origin(
    settings: PretrainSettings, cohort: Cohort, plans: Mapping[str, Any], initial: InitialWeights | None
) -> dict[str, Any]:
    """Return all that decides a training but the code, whose every comment would count.

    Some settings decide no weight: who raised the alarm in error may lower its bounds and go on.
    """
    return {
        "settings": {key: value for key, value in settings.to_mapping().items() if key not in HARMLESS},
        "plans": dict(plans),
        "images": {scan.name: f"{scan.split}, SHA-256 {cohort.digests[scan.name]}" for scan in cohort.scans},
        "order": [scan.name for scan in cohort.scans],
        **({"initial weights": f"SHA-256 {initial.digest}"} if initial else {}),
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, type=Path, help="settings.yaml of the pretraining")
    parser.add_argument("--dataset", required=True, type=Path, help="folder of rule pretrain_dataset")
    parser.add_argument("--initial-weights", type=Path, help="file with weights of an encoder to begin from")
    parser.add_argument("--threads", type=int, default=1, help="threads for reading and for torch on the CPU")
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--state", required=True, type=Path, help="folder to resume from, and to keep the results in")
    parser.add_argument(
        "--retrain", action=argparse.BooleanOptionalAction, default=False, help="train anew what is trained"
    )
    parser.add_argument("--out-encoder", required=True, type=Path, help="encoder.pt to write")
    parser.add_argument("--out-card", required=True, type=Path, help="model card to write, Markdown")
    parser.add_argument("--out-curves", required=True, type=Path, help="curves.tsv to write")
    parser.add_argument("--out-rankme", required=True, type=Path, help="rankme.tsv to write")
    return parser.parse_args(argv)


@memory_shortage_told(MEMORY)
def main(argv: Sequence[str] | None = None) -> None:
    """Read settings and dataset, train, write the teacher's encoder, its model card and the two tables."""
    args = _parse(argv)
    device = choose_device(args.gpus)
    torch.set_num_threads(max(1, args.threads // processes_here()))
    settings = parse_settings(read_yaml(args.settings))
    plans = read_plans(args.dataset / "plans.json")
    statistics_cases = read_json(args.dataset / "fingerprint.json", ["cases"])["cases"]
    initial = read_initial(args.initial_weights, architecture(plans)) if args.initial_weights else None
    code = code_digest("pretrain.pretrain")
    outputs = [args.out_encoder, args.out_card, args.out_curves, args.out_rankme]
    with Claim(args.state) as claim:
        with joined(device) as (processes, device):
            cohort = processes.from_first(
                lambda: open_cohort(args.dataset, len(settings.channels), settings.symmetry, args.threads)
            )
            began = origin(settings, cohort, plans, initial)
            claim.wait(processes.from_first)
            training = processes.from_first(lambda: open_training(args.state, began, code, outputs, args.retrain))
            trained = None
            if not training.finished:
                states = States(training.folder, training.folder.name)
                weights = initial.weights if initial else None
                trained = pretrain(
                    cohort, architecture(plans), settings, device, args.threads, states, processes, weights
                )
        if not processes.first:
            return
        if trained is None:
            log.info("trained before with these settings and images: the encoder of then is put back")
            training.restore()
            return
        metrics, first = final_metrics(trained), initial.description() if initial else None
        described = describe(trained.encoder, settings, cohort, plans, statistics_cases, metrics, training.code, first)
        _write(args, trained, described, device)
        training.finish()


def _write(args: argparse.Namespace, trained: Trained, description: dict[str, Any], device: torch.device) -> None:
    save_encoder(args.out_encoder, trained.encoder, description)
    write_text(args.out_card, model_card(description, sum(p.numel() for p in trained.encoder.parameters())))
    curves = [row | {"device": device_name(device)} for row in trained.curves]
    write_tsv(args.out_curves, curves, list(curves[0]))
    write_tsv(args.out_rankme, trained.rankme, list(trained.rankme[0]))


if __name__ == "__main__":
    run(main)
