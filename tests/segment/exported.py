"""A model of untrained networks, exported as the workflow exports one: small, and made in seconds."""

import json
from pathlib import Path

import numpy as np
import torch
import yaml
from snakemake.utils import update_config

from tests.finetune.study import dataset_options, write_study
from tests.workflow import DEMO, ROOT
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.network import build_network
from workflow_scripts.common.volume import Volume, load_volume, save_volume
from workflow_scripts.finetune import finetune_dataset
from workflow_scripts.finetune.finetune import model_of
from workflow_scripts.preprocess import template
from workflow_scripts.segment import export_model
from workflow_scripts.study.models import export_settings
from workflow_scripts.study.study import Study

ARM = "FS-STKi"
SEEDS = (0, 1, 2)
# What only that study has, and a model must not carry away.
OWN = {
    "ingest": {"lesion_labels": {"icoAIS": [1]}},
    "preprocess": {"skull_stripping": {"synthstrip_weights": {"path": "/home/someone/synthstrip.1.pt"}}},
}
SPLITS = ("train",) * 5 + ("validation", "test")
PUBLISHED = {  # of a new patient whose scan is DICOM
    *("lesion.nii.gz", "lesion.json", "lesion_upright.nii.gz", "agreement.nii.gz", "probability.nii.gz"),
    *("ncct_upright.nii.gz", "lesion.dcm", "report.html", "report.json", "times.tsv"),
}


def demo_study() -> Study:
    """The demo's configuration, without cases."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((DEMO / "study.yaml").read_text()))
    update_config(config, OWN)
    return Study(config, (), ())


def export(root: Path) -> Path:
    """Write a study below ``root`` and export its arm; return the model's folder, whose zip lies beside it."""
    cases = [f"icoAIS/{case}" for case in write_study(root, SPLITS)]
    for name in cases:
        final = load_volume(root / "preprocess" / name / "ncct.nii.gz")
        noise = np.random.default_rng(int(name[-2:])).normal(0, 3, final.data.shape)
        save_volume(root / "ingest" / name / "ncct.nii.gz", Volume(final.data + noise, final.affine), np.float32)
    finetune_dataset.main([*dataset_options(root, root / "arm"), "--cases", *cases])
    plans, dataset = read_json(root / "arm/plans.json"), read_json(root / "arm/dataset.json")
    for seed in SEEDS:
        torch.manual_seed(seed)
        checkpoint = {
            "network_weights": build_network(plans, 1, 2, deep_supervision=True).state_dict(),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "current_epoch": 1,
            "_best_ema": 0.5,
            "precisions": ["float32"],
            "without_lesion": [],
        }
        torch.save(model_of(checkpoint, {"secret": "/home/someone/icoAIS"}, seed), root / f"{seed}.pth")
    image, mask = root / "template.nii.gz", root / "template_mask.nii.gz"
    template.main(["--spacing", "4", "--out-template", str(image), "--out-mask", str(mask)])
    folder = root / "models" / ARM
    options = {
        "settings": [export_settings(demo_study(), ARM)],
        "checkpoints": [str(root / f"{seed}.pth") for seed in SEEDS],
        "template": [str(image)],
        "template-mask": [str(mask)],
        "splits-table": [str(root / "splits.tsv")],
        "preprocess": [str(root / "preprocess")],
        "ingest": [str(root / "ingest")],
        "cases": cases,
        "out": [str(folder)],
        "archive": [f"{folder}.zip"],
    }
    export_model.main([word for name, values in options.items() for word in (f"--{name}", *values)])
    return folder


def settings_of(folder: Path) -> dict:
    """The preprocessing settings of a model."""
    return json.loads((folder / "preprocessing.json").read_text())
