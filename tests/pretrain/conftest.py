import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from scipy import ndimage

from workflow_scripts.common.files import read_tsv, write_json, write_tsv, write_yaml
from workflow_scripts.common.nnunet.cases import COLUMNS
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain.settings import parse_settings
from workflow_scripts.pretrain.views.scans import Scan, describe_scan

BACKGROUND = -3.0
SHAPE = (20, 28, 24)
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 3,
        "features_per_stage": [4, 8, 12],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
RESIDUAL = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "arch_kwargs": {
        **{k: v for k, v in ARCHITECTURE["arch_kwargs"].items() if k != "n_conv_per_stage"},
        "n_blocks_per_stage": [1, 1, 2],
        "n_conv_per_stage_decoder": [1, 1],
    },
    "_kw_requires_import": ARCHITECTURE["_kw_requires_import"],
}
SETTINGS = {
    "pretraining": "ALL-SA",
    "image_set": "ALL",
    "channels": ["ncct"],
    "symmetry": True,
    "method": "desd",
    "seed": 7,
    "splits": ["train"],
    "epochs": 2,
    "samples_per_epoch": 16,
    "batch_size": 4,
    "accumulate": 1,
    "patch_size": [6, 12, 12],
    "slab_slices": 9,
    "independent_z": False,
    "parent_scale": [1.4, 1.8],
    "view_scale": [0.8, 1.2],
    "min_brain_fraction": 0.4,
    "max_draws": 10,
    "symmetry_probability": 0.7,
    "augmentation": {
        "noise": {"probability": 1.0, "sigma": [0.0, 0.1]},
        "blur": {"probability": 0.8, "sigma_voxels": [0.1, 2.0]},
        "multiplicative_brightness": {"probability": 0.8, "factor": [0.75, 1.25]},
        "additive_brightness": {"probability": 0.8, "sigma": 0.4},
        "contrast": {"probability": 1.0, "factor": [0.75, 1.25]},
        "gamma": {"probability": 0.8, "exponent": [0.7, 1.5]},
        "rotation": {"probability": 0.0, "degrees": [-15, 15]},
        "flip": {"probability": 0.5},
    },
    "local_views": {"count": 0, "patch_size": [4, 8, 8], "scale": [0.8, 1.2]},
    "masking": {"block_size": [2, 4, 4], "fraction": 0.75},
    "projection_head": {"hidden": 32, "bottleneck": 16, "prototypes": 64},
    "centre_momentum": 0.9,
    "student_temperature": 0.1,
    "teacher_temperature": {"start": 0.04, "end": 0.07, "warmup_epochs": 10},
    "teacher_momentum": {"start": 0.99, "end": 1.0},
    "preset": "robust",
    "optimiser": {
        "learning_rate": 1.0e-3,
        "min_learning_rate_ratio": 0.1,
        "warmup_epochs": 1,
        "weight_decay": {"start": 0.04, "end": 1.0e-5},
        "clip_gradient": 3.0,
        "frozen_last_layer_epochs": 1,
        "encoder": None,
    },
    "validation_samples": 6,
    "rankme_samples": 10,
    "alarm": {"feature_deviation": 0.0, "information": 0.0, "epochs": 3, "first_epoch": 0},
    "images_on_device": "auto",
    "precision": "auto",
    "compile": "auto",
    "save_minutes": 0,
}


OUTPUTS = {"encoder": "encoder.pt", "card": "model_card.md", "curves": "curves.tsv", "rankme": "rankme.tsv"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def architecture():
    return ARCHITECTURE


FIVE_STAGES = {
    **RESIDUAL,
    "arch_kwargs": {
        **RESIDUAL["arch_kwargs"],
        "n_stages": 5,
        "features_per_stage": [4, 6, 8, 10, 12],
        "kernel_sizes": [[1, 3, 3], *[[3, 3, 3]] * 4],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2], [1, 1, 1]],
        "n_blocks_per_stage": [1, 1, 2, 2, 1],
        "n_conv_per_stage_decoder": [1] * 4,
    },
}


@pytest.fixture(params=[ARCHITECTURE, RESIDUAL, FIVE_STAGES], ids=["plain", "residual", "five residual stages"])
def any_architecture(request):
    return request.param


@pytest.fixture
def mapping():
    return json.loads(json.dumps(SETTINGS))


@pytest.fixture
def make_settings():
    def make(**changes):
        return parse_settings(json.loads(json.dumps(SETTINGS)) | changes)

    return make


def head(seed: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A brain-like ellipsoid with smooth texture, (C, z, y, x) and its mask (z, y, x)."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    brain = ((grid / np.array([0.9, 0.85, 0.8]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
    texture = ndimage.gaussian_filter(rng.normal(size=(channels, *SHAPE)), (0, 2, 2, 2)) * 12
    image = np.where(brain, texture.clip(-2.5, 2.5), BACKGROUND).astype(np.float32)
    return image, brain


def make_brain(seed: int = 0, channels: int = 1, split: str = "train") -> Scan:
    """Describe a head, whose mirrored image is itself from the other side."""
    image, brain = head(seed, channels)
    return describe_scan(f"A/c{seed}", split, image, brain, image[..., ::-1].copy())


@pytest.fixture
def make_scan():
    return make_brain


@pytest.fixture
def make_dataset(tmp_path):
    """Write a dataset folder as rule pretrain_dataset lays it out."""

    def make(splits=("train",) * 6 + ("validation",) * 2 + ("test",), channels=1, folder="dataset") -> Path:
        root = tmp_path / folder
        for name in ("arrays", "companions"):
            (root / name).mkdir(parents=True)
        rows = []
        for number, split in enumerate(splits):
            image, brain = head(number, channels)
            key = f"A__c{number}"
            layout = {"chunks": (1, 8, 16, 16), "blocks": (1, 4, 8, 8)}
            for place, data in (("arrays", image), ("companions", image[..., ::-1])):
                nnUNetDatasetBlosc2.save_case(data, brain[None].astype(np.int8), {}, str(root / place / key), **layout)
            rows.append({"cohort": "A", "case": f"c{number}", "split": split, "key": key, "label_voxels": brain.sum()})
        write_tsv(root / "cases.tsv", rows, COLUMNS)
        configuration = {"architecture": ARCHITECTURE, "patch_size": [16, 24, 24], "spacing": [1.0, 1.0, 1.0]}
        configuration |= {"batch_size": 2, "data_identifier": "arrays"}
        intensities = {"mean": 35.0, "std": 8.0, "percentile_00_5": 5.0, "percentile_99_5": 70.0}
        plans = {
            "dataset_name": "Dataset001_study",
            "configurations": {"3d_fullres": configuration},
            "foreground_intensity_properties_per_channel": {str(index): intensities for index in range(channels)},
        }
        write_json(root / "plans.json", plans)
        write_json(root / "dataset.json", {"channels": ["ncct", "difference"][:channels]})
        trained = [f"A/c{number}" for number, split in enumerate(splits) if split == "train"]
        write_json(root / "fingerprint.json", {"cases": trained})
        return root

    return make


@pytest.fixture
def command_line(tmp_path, mapping, make_dataset):
    """Write settings and dataset; returns the folder of the outputs and the rule's options."""
    usual = make_dataset()

    def write(name="run", state=None, dataset=usual, **changes):
        folder = tmp_path / name
        state = state or folder / "state"
        write_yaml(folder / "settings.yaml", mapping | changes)
        options = {"settings": folder / "settings.yaml", "dataset": dataset, "state": state}
        options |= {f"out-{name}": folder / file for name, file in OUTPUTS.items()}
        return folder, [word for key, value in options.items() for word in (f"--{key}", str(value))]

    return write


@pytest.fixture
def run_rule(command_line):
    """Run the rule's command line; returns the folder of its outputs."""

    def run(*arguments, **changes):
        folder, options = command_line(*arguments, **changes)
        pretrain_rule.main(options)
        return folder

    return run


@pytest.fixture
def column():
    """Read a column of numbers from a table of a pretraining's folder."""

    def read(folder, name, table="curves.tsv"):
        return [float(row[name]) for row in read_tsv(folder / table)]

    return read


@pytest.fixture
def states(tmp_path):
    return States(tmp_path / "states")
