"""Pretrain on phantoms, train on few labelled ones from each encoder and from scratch, and score unseen heads.

Everything that was computed is kept below ``--out`` and is not computed again. Run with `make bench-transfer`.
"""

import argparse
import json
import logging
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.transfer import results, skills
from tests.benchmarks.transfer.heads import Head, heads, normalise, normalised
from tests.benchmarks.transfer.sizes import PRETRAININGS, SMALL, TRIALS, Sizes, architecture, pretrain_settings
from tests.benchmarks.transfer.trainings import dice, features, finetuned, padded, pretrained
from workflow_scripts.common import seeds
from workflow_scripts.common.files import replacing, write_json, write_text
from workflow_scripts.common.nnunet.network import build_planned

SEEDS = {"unlabelled": 1, "pool": 2, "test": 3, "fresh_pool": 4, "fresh_test": 5}
ALL = {**PRETRAININGS, **TRIALS}


class Here(Executor):
    """Does everything at once in this process."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_result(function(*args, **kwargs))
        return future


@cache
def group(out: Path, name: str, sizes: Sizes) -> list[Head]:
    """Read heads that were made before."""
    return heads(out / "heads", name, getattr(sizes, name.removeprefix("fresh_")), SEEDS[name], sizes.spacing_mm, None)


@cache
def statistics(out: Path, sizes: Sizes) -> tuple[float, float, float, float]:
    """Those of the unlabelled heads serve all, so that arms differ in their first weights alone."""
    found = group(out, "unlabelled", sizes)
    return normalised([head.image for head in found], [head.brain for head in found])


@cache
def arrays(out: Path, name: str, sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor]:
    return padded(group(out, name, sizes), statistics(out, sizes), sizes)


def make_encoder(out: Path, name: str, sizes: Sizes, device: str) -> None:
    """Pretrain, or train on the labels of the heads that the others see without; keep the encoder's weights."""
    torch.set_num_threads(1)
    path, started = out / "encoders" / f"{name}.pt", time.perf_counter()
    if path.exists():
        return
    if name == "supervised":
        last = {}
        longer = replace(sizes, steps=sizes.supervised_steps)
        encoder = finetuned(*arrays(out, "unlabelled", sizes), None, longer, 77, torch.device(device)).encoder
    else:
        settings, seen = pretrain_settings(sizes, ALL[name]), group(out, "unlabelled", sizes)
        state = out / "state" / name
        state.mkdir(parents=True, exist_ok=True)
        trained = pretrained(seen, statistics(out, sizes), settings, sizes, torch.device(device), state)
        encoder, last = trained.encoder, trained.curves[-1] | trained.rankme[-1]
    weights = {key: value.detach().cpu().contiguous() for key, value in encoder.state_dict().items()}
    with replacing(path) as temporary:
        torch.save(weights, temporary)
    write_json(path.with_suffix(".json"), {"seconds": time.perf_counter() - started, **last})


def score(out: Path, run: tuple[str, str, int, int], sizes: Sizes, device: str, until: float) -> None:
    """Train from the weights of ``name`` on a draw of labelled heads; keep the Dice of every test head."""
    prefix, name, budget, draw = run
    path = out / "dice" / f"{prefix}{name}-{budget}-{draw}.json"
    if path.exists() or time.time() > until:
        return
    torch.set_num_threads(1)
    images, labels = arrays(out, f"{prefix}pool", sizes)
    chosen = seeds.generator(SEEDS[f"{prefix}pool"], "transfer draw", draw).permutation(len(images))[:budget]
    encoder = None if name == "scratch" else torch.load(out / "encoders" / f"{name}.pt", weights_only=True)
    seed = seeds.integer(0, f"transfer {prefix}", budget, draw)
    network = finetuned(images[chosen], labels[chosen], encoder, sizes, seed, torch.device(device))
    write_json(path, dice(network, *arrays(out, f"{prefix}test", sizes), sizes, torch.device(device)).tolist())


def read_scores(out: Path, prefix: str, names: Sequence[str], sizes: Sizes) -> dict[str, dict[int, np.ndarray]]:
    """Dice of the draws that are complete for all names at a budget."""
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in names}
    for budget in sizes.budgets:
        paths = [
            [out / "dice" / f"{prefix}{name}-{budget}-{draw}.json" for name in names] for draw in range(sizes.draws)
        ]
        complete = [row for row in paths if all(path.exists() for path in row)]
        for name, column in zip(names, zip(*complete, strict=True), strict=False):
            found[name][budget] = np.array([json.loads(path.read_text()) for path in column])
    return found


def runs(prefix: str, names: Sequence[str], sizes: Sizes) -> list[tuple[str, str, int, int]]:
    """All trainings, one whole draw after the other, so that a run that is ended early has whole draws."""
    return [(prefix, name, budget, draw) for draw in range(sizes.draws) for budget in sizes.budgets for name in names]


def stage(executor: Executor, function: Any, arguments: Sequence[tuple]) -> None:
    """Do all, and raise the first error when the others have ended."""
    futures = [executor.submit(function, *each) for each in arguments]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            logging.error("%s", error)
    if any(errors):
        raise next(error for error in errors if error)


def tell(out: Path, names: Sequence[str], sizes: Sizes) -> None:
    """Write what the encoders tell of the test heads; "untrained" is one of random weights."""
    found, (images, _) = group(out, "test", sizes), arrays(out, "test", sizes)
    whole = [normalise(head.image, statistics(out, sizes)) for head in found]
    told = skills.baselines(whole, found)
    torch.manual_seed(0)
    encoder = build_planned(architecture(sizes), 1, 2, deep_supervision=False).encoder.eval()
    told["untrained"] = features(encoder, images, torch.device("cpu"))
    for name in names:
        encoder.load_state_dict(torch.load(out / "encoders" / f"{name}.pt", weights_only=True))
        told[name] = features(encoder, images, torch.device("cpu"))
    lines = skills.table(told, skills.attributes(found), sizes.bootstrap, 0)
    write_text(out / "skills.md", "\n".join([*lines, ""]))
    print("\n".join(lines), flush=True)


def report(out: Path, prefix: str, names: Sequence[str], sizes: Sizes) -> None:
    found = read_scores(out, prefix, names, sizes)
    if found["scratch"]:
        draws = {budget: len(values) for budget, values in found["scratch"].items()}
        lines = [f"Draws at each budget: {draws}", "", *results.table(found, sizes.bootstrap, 0), ""]
        write_text(out / f"{prefix}table.md", "\n".join(lines))
        print("\n".join(lines), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/transfer"))
    parser.add_argument("--small", action="store_true", help="seconds, for a test; no figure means anything")
    parser.add_argument("--trials", action="store_true", help="also the attempts to make a pretraining pay")
    parser.add_argument("--names", nargs="*", help="pretrainings, instead of all")
    parser.add_argument("--fresh", action="store_true", help="heads that no setting was chosen on")
    parser.add_argument("--budgets", type=int, nargs="+", help="numbers of labels, instead of 5, 10 and 20")
    parser.add_argument("--draws", type=int, help="of labelled heads, instead of 5: more make intervals narrower")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0: this one alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--minutes", type=float, default=1e6, help="after which no training is begun")
    arguments = parser.parse_args(argv)
    until, out = time.time() + 60 * arguments.minutes, arguments.out
    sizes, prefix = SMALL if arguments.small else Sizes(), "fresh_" if arguments.fresh else ""
    given = {"budgets": arguments.budgets and tuple(arguments.budgets), "draws": arguments.draws}
    sizes = replace(sizes, **{name: value for name, value in given.items() if value})
    names = arguments.names or [*PRETRAININGS, *(TRIALS if arguments.trials else ())]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=spawn) if arguments.workers else Here() as pool:
        for name in ("unlabelled", f"{prefix}pool", f"{prefix}test"):
            count = getattr(sizes, name.removeprefix("fresh_"))
            heads(out / "heads", name, count, SEEDS[name], sizes.spacing_mm, pool)
        stage(pool, make_encoder, [(out, name, sizes, arguments.device) for name in ("supervised", *names)])
        if not arguments.fresh:
            names = ["supervised", *names]
            tell(out, names, sizes)
        names = ["scratch", *names]
        stage(pool, score, [(out, run, sizes, arguments.device, until) for run in runs(prefix, names, sizes)])
    report(out, prefix, names, sizes)
