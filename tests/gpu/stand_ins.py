"""Packages that a GPU machine may lack: torch, numpy, scipy and yaml are enough for the measurements.

Import this before anything of the pretraining. Where nnU-Net is missing, an encoder of the same layers, written here,
stands for the one that it builds.
"""

import importlib.machinery
import importlib.util
import pydoc
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import MagicMock

from torch import Tensor, nn

OPTIONAL = ("nnunetv2", "blosc2", "jsonschema", "nibabel", "SimpleITK")
MISSING = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]


class Encoder(nn.Module):
    """nnU-Net's PlainConvEncoder, layer by layer."""

    def __init__(self, architecture: Mapping[str, Any], channels: int) -> None:
        super().__init__()
        norm = pydoc.locate(architecture["norm_op"])
        self.stages, self.output_channels = nn.ModuleList(), list(architecture["features_per_stage"])
        for features, stride, kernel, count in zip(
            architecture["features_per_stage"],
            architecture["strides"],
            architecture["kernel_sizes"],
            architecture["n_conv_per_stage"],
            strict=True,
        ):
            layers: list[nn.Module] = []
            for number in range(count):
                padding = [side // 2 for side in kernel]
                conv = nn.Conv3d(channels, features, kernel, stride if number == 0 else 1, padding)
                nn.init.kaiming_normal_(conv.weight, a=1e-2)
                nn.init.zeros_(conv.bias)
                layers += [conv, norm(features, **architecture["norm_op_kwargs"]), nn.LeakyReLU(inplace=True)]
                channels = features
            self.stages.append(nn.Sequential(*layers))

    def forward(self, views: Tensor) -> list[Tensor]:
        """Return the feature maps of all stages."""
        maps = []
        for stage in self.stages:
            views = stage(views)
            maps.append(views)
        return maps


class _Missing(importlib.machinery.ModuleSpec):
    """Finds and makes modules of missing packages, in which every name is something that does nothing."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> Any:
        del path, target
        if name.partition(".")[0] in MISSING:
            return importlib.machinery.ModuleSpec(name, _Missing, is_package=True)
        return None

    @staticmethod
    def create_module(spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: MagicMock(name=name)
        return module

    @staticmethod
    def exec_module(module: types.ModuleType) -> None:
        del module


def install() -> list[str]:
    """Put stand-ins in the places of the packages that are missing; returns their names."""
    if MISSING:
        sys.meta_path.append(_Missing)
    if "nnunetv2" in MISSING:
        from workflow_scripts.common.nnunet import network

        network.build_planned = lambda architecture, channels, *_, **__: types.SimpleNamespace(
            encoder=Encoder(architecture["arch_kwargs"], channels)
        )
    return MISSING
