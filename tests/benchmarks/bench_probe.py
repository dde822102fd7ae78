"""What pretrained features tell of heads, beside random ones, on more heads than the demo has. Run with `make bench`.

Some heads are pretrained on by the code of the rules, with the demo's settings but more epochs, once with each method;
others, which the pretraining never sees, are probed.
"""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from snakemake.utils import update_config

from tests.workflow import DEMO, ROOT
from workflow_scripts.common.files import read_tsv, write_tsv, write_yaml
from workflow_scripts.common.volume import save_volume
from workflow_scripts.phantom import attributes
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.scan import build_patient, find_truth
from workflow_scripts.preprocess.finalise import finalise
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.pretrain import pretrain, pretrain_dataset, pretrain_probe
from workflow_scripts.pretrain.methods.method import METHODS

COHORT, SEED = "icoAIS", 99
PRETRAINED_ON, PROBED = 60, 120
EPOCHS = 16
VOXEL_MM, SLICE_MM = 4.0, 5.0
PROCESSES = 2
TOLD = ("head_size", "pitch_degrees")
ATTRIBUTES = ("head_size", "pitch_degrees", "roll_degrees", "yaw_degrees", "ventricles", "lesion_ml", "side")


def demo_config() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((DEMO / "study.yaml").read_text()))
    return config


def make_heads(numbers: Sequence[int], preprocess: Path, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write the final images of phantoms, with their true brain masks; return what they are."""
    anatomy, rows = build_anatomy(VOXEL_MM), []
    spacing, clip = config["preprocess"]["spacing_mm"], tuple(config["preprocess"]["clip_hu"])
    for number in numbers:
        plan = plan_case(COHORT, f"I{number:03d}", SEED)
        truth = find_truth(build_patient(anatomy, plan), plan, VOXEL_MM, SLICE_MM)
        noise = images.ct_noise(truth.untilted.data.shape, truth.untilted.spacing, plan.case_rng("ncct"))
        scan = truth.untilted.with_data(truth.untilted.data.astype(np.float32) + noise)
        ncct = resample_isotropic(scan, spacing, antialias=True, background=-1024)
        mask = truth.brain_mask.with_data(truth.brain_mask.data.astype(np.float32))
        brain = resample_isotropic(mask, spacing, antialias=False, background=0).data > 0.5
        final = finalise(ncct, ncct.with_data(ncct.data[::-1]), brain, clip, config["preprocess"]["crop_margin_voxels"])
        for name in ("ncct", "mirrored", "difference"):
            save_volume(preprocess / COHORT / plan.case / f"{name}.nii.gz", getattr(final, name))
        save_volume(preprocess / COHORT / plan.case / "brain.nii.gz", final.brain, np.uint8)
        rows.append(attributes.attributes_of(truth.parameters))
    return rows


def make_cohort(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the final images of all heads, the table of their attributes and the split."""
    numbers = range(1, PRETRAINED_ON + PROBED + 1)
    make = partial(make_heads, preprocess=folder / "preprocess", config=config)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        shares = list(pool.map(make, [numbers[start::PROCESSES] for start in range(PROCESSES)]))
    rows = sorted((row for share in shares for row in share), key=lambda row: row["case"])
    write_tsv(folder / "attributes.tsv", rows, attributes.COLUMNS)
    splits = [
        {"cohort": COHORT, "patient": row["case"], "case": row["case"], "split": split}
        for row, split in zip(rows, ["train"] * PRETRAINED_ON + ["validation"] * PROBED, strict=True)
    ]
    write_tsv(folder / "splits.tsv", splits, ("cohort", "patient", "case", "split"))


def make_dataset(folder: Path, config: Mapping[str, Any]) -> None:
    """Run the rule pretrain_dataset."""
    nnunet = config["nnunet"]
    tables = ["--splits", str(folder / "splits.tsv"), "--preprocess", str(folder / "preprocess")]
    pretrain_dataset.main(
        [
            *(*tables, "--cohorts", COHORT, "--seen-splits", "train", "--channels", "ncct"),
            *("--spacing", str(config["preprocess"]["spacing_mm"]), "--gpu-memory", str(nnunet["gpu_memory_gb"])),
            *("--patch-size", *map(str, nnunet["patch_size"]), "--batch-size", str(nnunet["batch_size"])),
            *("--features", *map(str, nnunet["features"]), "--threads", str(PROCESSES)),
            *("--out", str(folder / "dataset")),
        ]
    )


def run_pretraining(cohort: Path, folder: Path, config: Mapping[str, Any], method: str) -> None:
    """Write the settings and run the rule pretrain."""
    shared = config["pretrain"] | {"epochs": EPOCHS}
    shared["optimiser"] = shared.pop("optimisers")[shared["preset"]]
    own = {"pretraining": "ALL", "image_set": "ALL", "channels": ["ncct"], "symmetry": False, "method": method}
    write_yaml(folder / "settings.yaml", own | {"seed": config["seed"]} | shared)
    outputs = {"encoder": "encoder.pt", "card": "card.md", "curves": "curves.tsv", "rankme": "rankme.tsv"}
    pretrain.main(
        [
            *("--settings", str(folder / "settings.yaml"), "--dataset", str(cohort / "dataset")),
            *("--state", str(folder / "state"), "--threads", str(PROCESSES)),
            *(word for name, file in outputs.items() for word in (f"--out-{name}", str(folder / file))),
        ]
    )


def probe(cohort: Path, folder: Path, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Run the rule pretrain_probe on the heads that the pretraining did not see."""
    pretrain_probe.main(
        [
            *("--encoder", str(folder / "encoder.pt"), "--dataset", str(cohort / "dataset")),
            *("--splits", str(cohort / "splits.tsv"), "--preprocess", str(cohort / "preprocess")),
            *("--probed-splits", "validation", "--attributes", *ATTRIBUTES, "--table", str(cohort / "attributes.tsv")),
            *("--random-encoders", str(config["probe"]["random_encoders"])),
            *("--bootstrap", str(config["evaluate"]["bootstrap"])),
            *("--confidence", str(config["evaluate"]["confidence"]), "--seed", str(config["seed"])),
            *("--threads", str(PROCESSES)),
            *("--out-skills", str(folder / "probe.tsv"), "--out-neighbours", str(folder / "neighbours.tsv")),
        ]
    )
    return read_tsv(folder / "probe.tsv")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, demo_config())
    make_dataset(folder, demo_config())
    return folder


@pytest.mark.parametrize("method", METHODS)
def bench_probe(cohort: Path, tmp_path: Path, method: str) -> None:
    """Print the skills of pretrained features and, as the reference, those of random ones of the same architecture."""
    config, start = demo_config(), time.perf_counter()
    run_pretraining(cohort, tmp_path, config, method)
    seconds = time.perf_counter() - start
    rows = probe(cohort, tmp_path, config)
    samples = config["pretrain"]["samples_per_epoch"]
    print(f"\n{method}: {PRETRAINED_ON} heads pretrained on, {EPOCHS} epochs of {samples} samples")
    print(f"seconds on {os.cpu_count()} cores: {seconds:.0f}")
    print(f"{'attribute':14} {'measure':13}  cases seen   pretrained            random (reference)    difference")
    for row in rows:
        cells = [
            f"{float(row[name]):5.2f} ({float(row[f'{name}_low']):5.2f} to {float(row[f'{name}_high']):5.2f})"
            for name in pretrain_probe.ESTIMATES
            if row[name]
        ]
        shown = "  ".join(cells) or row["note"]
        print(f"{row['attribute']:14} {row['measure']:13}  {row['cases']:>5} {row['seen']:>4}   {shown}")
    lowest = {(row["attribute"], row["measure"]): row["difference_low"] for row in rows}
    assert all(float(lowest[name, "linear probe"]) > 0 for name in TOLD)
