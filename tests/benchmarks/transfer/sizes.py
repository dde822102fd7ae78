"""What a run of the benchmark measures, and how large it is: whole, or reduced for the tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.pretrain.settings import PretrainSettings, parse_settings

CONFIG = Path(__file__).parents[3] / "config.yaml"

NO_FLIP = {"flip": {"probability": 0.0}}
MAE = {"method": "mae", "optimiser": {"learning_rate": 1e-3}}
# What each pretraining changes of the others' settings. "scratch" has none; "supervised" learned from labels.
PRETRAININGS: Mapping[str, Mapping[str, Any]] = {
    "desd": {},
    "desd_sa": {"symmetry": True},
    "desd_no_flip": {"augmentation": NO_FLIP},
    "mae": MAE,
}
KEEP_CONTRAST = {
    "blur": {"probability": 0.0},
    "multiplicative_brightness": {"probability": 0.0},
    "additive_brightness": {"probability": 0.0},
    "contrast": {"probability": 0.0},
    "gamma": {"probability": 0.0},
}
# Attempts to make a pretraining pay, chosen among on the test heads; a winner counts on the fresh heads alone.
TRIALS: Mapping[str, Mapping[str, Any]] = {
    "desd_keep_contrast": {"augmentation": NO_FLIP | KEEP_CONTRAST},
    "desd_no_flip_sa": {"augmentation": NO_FLIP, "symmetry": True},
    "desd_cold": {"augmentation": NO_FLIP, "teacher_temperature": {"start": 0.02, "end": 0.02}},
    "desd_slow": {"augmentation": NO_FLIP, "optimiser": {"learning_rate": 1e-3}},
    "desd_code": {"augmentation": NO_FLIP, "preset": "code", "optimiser": {"learning_rate": 0.1}},
    "desd_masked": {
        "method": "tests.benchmarks.transfer.masked:MaskedDistillation",
        "masking": {"block_size": [8, 8, 8], "fraction": 0.4},
        "augmentation": NO_FLIP,
    },
    "pasted": MAE | {"method": "tests.benchmarks.transfer.pasted:PastedLesions"},
    "desd_long": {"augmentation": NO_FLIP, "epochs": 36},
    "mae_fine": MAE | {"masking": {"block_size": [2, 4, 4], "fraction": 0.6}},
    "mae_half": MAE | {"masking": {"fraction": 0.5}},
    "mae_long": MAE | {"epochs": 36},
}


@dataclass(frozen=True)
class Sizes:
    """Numbers of heads, budgets of labels, draws of labelled heads, and lengths of the trainings."""

    spacing_mm: float = 4.0
    unlabelled: int = 160
    pool: int = 60
    test: int = 100
    budgets: tuple[int, ...] = (5, 10, 20)
    draws: int = 5
    patch: tuple[int, int, int] = (24, 32, 32)  # voxels (z, y, x) of the trainings on labels
    steps: int = 300
    batch: int = 4
    supervised_steps: int = 1200
    epochs: int = 12
    pairs_per_epoch: int = 1600
    pairs: int = 16
    features: tuple[int, ...] = (8, 16, 32, 64)
    head: tuple[int, int, int] = (256, 64, 256)  # hidden, bottleneck, prototypes
    bootstrap: int = 2000


SMALL = Sizes(
    spacing_mm=6.0,
    unlabelled=4,
    pool=4,
    test=10,
    budgets=(1, 2),
    draws=2,
    patch=(8, 12, 12),
    steps=2,
    batch=2,
    supervised_steps=2,
    epochs=1,
    pairs_per_epoch=4,
    pairs=4,
    features=(4, 8),
    head=(16, 8, 32),
    bootstrap=50,
)


def architecture(sizes: Sizes) -> dict[str, Any]:
    """nnU-Net's plain network, whose every stage but the first halves all axes."""
    stages = len(sizes.features)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(sizes.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def pretrain_settings(sizes: Sizes, changes: Mapping[str, Any]) -> PretrainSettings:
    """The configuration's settings, at the sizes of these heads, with the changes of one pretraining."""
    shared = yaml.safe_load(CONFIG.read_text())["pretrain"]
    shared["optimiser"] = shared.pop("optimisers")[changes.get("preset", shared["preset"])]
    own = {"pretraining": "X", "image_set": "X", "channels": ["ncct"], "symmetry": False, "seed": 0, "method": "desd"}
    fitted = {
        "epochs": sizes.epochs,
        "samples_per_epoch": sizes.pairs_per_epoch,
        "batch_size": sizes.pairs,
        "patch_size": [16, 24, 24] if sizes.spacing_mm < 5 else [8, 12, 12],
        "slab_slices": 20 if sizes.spacing_mm < 5 else 10,
        "masking": {"block_size": [4, 8, 8], "fraction": 0.75},
        "projection_head": dict(zip(("hidden", "bottleneck", "prototypes"), sizes.head, strict=True)),
        "teacher_temperature": {"start": 0.03, "end": 0.03, "warmup_epochs": 0},
        "teacher_momentum": {"start": 0.99, "end": 1.0},
        "rankme_samples": 256 if sizes.unlabelled > 100 else 8,
        "compile": "never",
    }
    quiet = {"alarm": {"feature_deviation": 0.0, "information": 0.0, "epochs": 3, "first_epoch": 0}}
    # Chosen without labels: with these the loss of DeSD falls below ln K, that of features that tell nothing apart.
    here = {
        "optimiser": {"learning_rate": 8e-3, "warmup_epochs": 1},
        "augmentation": {"noise": {"sigma": [0.0, 0.07]}, "blur": {"sigma_voxels": [0.1, 0.4]}},
    }
    return parse_settings(_merged(_merged(shared | own | fitted | quiet, here), changes))


def _merged(mapping: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(mapping)
    for name, value in changes.items():
        nested = isinstance(value, dict) and isinstance(both.get(name), dict)
        both[name] = _merged(both[name], value) if nested else value
    return both
