"""The small study of the drill: four phantoms, two arms of one seed, trainings of a few steps."""

from pathlib import Path

import yaml

from tests.slurm.study import merged, write_study

SMALLER = {
    "keep": "minimal",
    "run": {"seeds": [0]},
    "pretrain": {"epochs": 1, "samples_per_epoch": 8, "batch_size": 4, "validation_samples": 4, "rankme_samples": 8}
    | {"teacher_temperature": {"warmup_epochs": 0}, "optimisers": {"robust": {"warmup_epochs": 0}}},
    "finetune": {"iterations_per_epoch": 1},
    "report": {"gradient_steps": 1},
}


def write_small_study(folder: Path, jobs: str) -> None:
    """Write scans, case sheet and study.yaml into ``folder``; ``jobs`` is the key of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, broken=False)
    study = yaml.safe_load((folder / "study.yaml").read_text())
    (folder / "study.yaml").write_text(yaml.safe_dump(merged(study, SMALLER | {"jobs": jobs})))
