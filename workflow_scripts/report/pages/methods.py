"""How the networks were trained, as the records of the trainings say."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.files import read_json, read_tsv, read_yaml
from workflow_scripts.common.vocabulary import seed_member

CONFIGURATION = "3d_fullres"
NOT_RECORDED = "not recorded"

Row = Mapping[str, str]


def arm_records(finetune: Path, arms: Iterable[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Read of each arm what its trainings used: patch, batch, network, optimiser's settings, epochs, time, hardware."""
    rows = []
    for arm in arms:
        settings = read_yaml(finetune / arm / "settings.yaml")
        plan = read_json(finetune / arm / "nnunet" / "plans.json")["configurations"][CONFIGURATION]
        curves = [read_tsv(finetune / arm / seed_member(seed) / "curves.tsv") for seed in seeds]
        rows.append(
            {
                "name": arm,
                "patch": by_axes(plan["patch_size"]),
                "batch": plan["batch_size"],
                "features": ", ".join(map(str, plan["architecture"]["arch_kwargs"]["features_per_stage"])),
                "learning_rate": settings["learning_rate"],
                "momentum": settings["momentum"],
                "iterations": settings["iterations_per_epoch"],
                **cost(curves),
            }
        )
    return rows


def pretraining_records(pretrain: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Read of each pretraining what it used, in the form of `arm_records`."""
    rows = []
    for name in names:
        settings = read_yaml(pretrain / name / "settings.yaml")
        rows.append(
            {
                "name": name,
                "method": settings["method"],
                "patch": by_axes(settings["patch_size"]),
                "batch": settings["batch_size"],
                "learning_rate": settings["optimiser"]["learning_rate"],
                "samples": settings["samples_per_epoch"],
                **cost([read_tsv(pretrain / name / "curves.tsv")]),
            }
        )
    return rows


def cost(trainings: Sequence[Sequence[Row]]) -> dict[str, str]:
    """Say how many epochs trainings took, how long a training took, and on what, from the rows of ``curves.tsv``."""
    epochs = sorted({len(rows) for rows in trainings})
    seconds = [
        sum(float(row["seconds"]) for row in rows) for rows in trainings if all(row.get("seconds") for row in rows)
    ]
    devices = dict.fromkeys(row["device"] for rows in trainings for row in rows if row.get("device"))
    return {
        "epochs": "–".join(map(str, dict.fromkeys((epochs[0], epochs[-1])))) if epochs else "",
        "time": duration(sum(seconds) / len(seconds)) if seconds else NOT_RECORDED,
        "hardware": ", ".join(devices) or NOT_RECORDED,
    }


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def by_axes(sizes: Iterable[int]) -> str:
    """Write sizes along the axes."""
    return " × ".join(map(str, sizes))
