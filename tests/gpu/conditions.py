"""What is measured: the paper's step and phantoms of heads; on a CPU everything tiny."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn import functional as F

from workflow_scripts.common.settings import from_mapping
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views.scans import Scan, describe_scan

ROOT = Path(__file__).parents[2]
BACKGROUND = -3.0
STEP = 150  # past the epoch whose last layer is frozen


class Conditions:
    """Sizes on a device, settings and scans, and how long a step takes, alone and with its data."""

    def __init__(self, device: torch.device, batch: int, scans: int) -> None:
        self.device, self.gpu = device, device.type == "cuda"
        full = self.gpu
        self.batch = batch if full else 4
        self.shape = (139, 169, 138) if full else (20, 44, 40)
        self.patch = [16, 112, 112] if full else [8, 24, 24]
        self.features = [32, 64, 128, 256, 320, 320] if full else [8, 12, 16]
        self.strides = [[1, 1, 1], *[[2, 2, 2]] * 4, [1, 2, 2]] if full else [[1, 1, 1], [2, 2, 2], [1, 2, 2]]
        hidden, bottleneck, prototypes = (2048, 256, 65536) if full else (32, 16, 256)
        self.head = {"hidden": hidden, "bottleneck": bottleneck, "prototypes": prototypes}
        self.repeats, self.steps = (8, 50) if full else (1, 4)
        self.rankme, self.validation = (2048, 640) if full else (16, 8)
        self.scans = [phantom(number, self.shape) for number in range(scans if full else 4)]
        self.head_shape = (139, 169, 138) if full else (24, 28, 26)  # voxels (x, y, z)
        self.test_shape = (192, 192, 160) if full else (28, 28, 26)
        self.finetune_patch = [96, 160, 160] if full else [16, 16, 16]
        self.step_ms = self.loop_ms = 0.0

    @property
    def architecture(self) -> dict[str, Any]:
        """The network that nnU-Net plans for heads at 1 mm."""
        stages = len(self.features)
        return {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": self.features,
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * stages,
                "strides": self.strides,
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

    def settings(self, **changes: Any) -> PretrainSettings:
        """The configuration's settings at these sizes, 150 steps an epoch."""
        shared = yaml.safe_load((ROOT / "config.yaml").read_text())["pretrain"]
        shared["optimiser"] = shared.pop("optimisers")[shared["preset"]]
        own = {
            "pretraining": "X",
            "image_set": "X",
            "channels": ["ncct"],
            "symmetry": True,
            "seed": 0,
            "method": "desd",
        }
        sizes = {
            "projection_head": self.head,
            "patch_size": self.patch,
            "slab_slices": self.patch[0] * 3 // 2,
            "batch_size": self.batch,
            "samples_per_epoch": 150 * changes.get("batch_size", self.batch),
            "rankme_samples": self.rankme,
            "validation_samples": self.validation,
        }
        return from_mapping(PretrainSettings, shared | own | sizes | changes, "settings")

    def method(self, settings: PretrainSettings) -> Distillation:
        """Make a fresh learner, the same each time."""
        torch.manual_seed(0)
        return Distillation(self.architecture, settings, self.device)

    def step_flop(self) -> int:
        """Multiplications and additions of a step.

        Encoders: forward of the teacher, forward and two backward passes of the student; then MLPs and prototypes.
        """
        views, size, channels, encoder = 2 * self.batch, np.array(self.patch), 1, 0
        for features, stride in zip(self.features, self.strides, strict=True):
            size = -(-size // np.array(stride))
            for _ in range(2):
                encoder += 2 * 27 * channels * features * int(np.prod(size)) * views
                channels = features
        hidden, low, prototypes = self.head.values()
        mlps = sum(2 * views * (f * hidden + hidden**2 + hidden * low) for f in self.features) * 3
        return 4 * encoder + mlps + 2 * views * low * prototypes * (1 + 4 * len(self.features))


def phantom(number: int, shape: tuple[int, ...]) -> Scan:
    """A head-shaped image of smooth texture and noise."""
    rng = np.random.default_rng(number)
    grid = np.meshgrid(*(np.linspace(-1, 1, length, dtype=np.float32) for length in shape), indexing="ij", sparse=True)
    brain = sum(axis**2 for axis in grid) < 0.9
    coarse = torch.from_numpy(rng.normal(size=(1, 1, *(max(2, length // 6) for length in shape))).astype(np.float32))
    texture = F.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy()
    image = np.where(brain, 2 * texture + 0.3 * rng.standard_normal(shape, np.float32), BACKGROUND)[None]
    image = image.astype(np.float32)
    return describe_scan(f"A/c{number}", "train", image, brain, np.ascontiguousarray(image[..., ::-1]))
