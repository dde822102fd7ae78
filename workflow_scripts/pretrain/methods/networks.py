"""Student and teacher: an nnU-Net encoder with projection heads (paper 3.3, 3.4)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import build_planned
from workflow_scripts.pretrain.methods.heads import ProjectionHead, pool
from workflow_scripts.pretrain.methods.in_parts import in_parts
from workflow_scripts.pretrain.settings import PATCH_AXES, HeadSizes, PretrainSettings


def build_encoder(architecture: Mapping[str, Any], channels: int) -> nn.Module:
    """Build the encoder of a planned network: it returns the feature maps of all stages, highest resolution first."""
    return build_planned(architecture, channels, 2, deep_supervision=False).encoder


def check_patch(architecture: Mapping[str, Any], patch_size: Sequence[int], key: str = "patch_size") -> None:
    """Raise `InputError` when a stage of the encoder would see one voxel, which instance normalisation refuses."""
    size, strides = list(patch_size), architecture["arch_kwargs"]["strides"]
    for stride in strides:
        size = [-(-length // step) for length, step in zip(size, stride, strict=True)]
    if all(length == 1 for length in size):
        raise InputError(
            f"{key} {list(patch_size)} ({PATCH_AXES}) shrinks to one voxel under the planned strides "
            f"{[list(stride) for stride in strides]}.",
            f"raise pretrain.{key}.",
        )


def bytes_of_step(architecture: Mapping[str, Any], settings: PretrainSettings) -> int:
    """Estimate what a step of DeSD takes on a GPU; 15.8 GB where 13.6 were measured, 15.9 with torch's kernels.

    Of each convolution in the student's encoder two maps are kept, before and after its normalisation; three of the
    first stage are in work. A weight of a projection head has a gradient and two moments.
    """
    arguments, size, maps = architecture["arch_kwargs"], np.array(settings.patch_size), []
    views = -(-settings.batch_size // settings.accumulate)
    convolutions = arguments.get("n_conv_per_stage") or [2 * blocks for blocks in arguments["n_blocks_per_stage"]]
    for features, stride in zip(arguments["features_per_stage"], arguments["strides"], strict=True):
        size = -(-size // np.array(stride))
        maps.append(2 * views * features * int(np.prod(size)))
    values = 3 * maps[0] + sum(2 * count * values for count, values in zip(convolutions, maps, strict=True))
    head = settings.projection_head
    weights = head.hidden**2 + head.bottleneck * (head.hidden + head.prototypes)
    return (4 if settings.precision == "float32" else 2) * values + 16 * len(maps) * weights


class Student(nn.Module):
    """Encoder f_s with a head h^i on each of its N stages: the sub-encoders g_s^i of paper 3.4."""

    def __init__(self, encoder: nn.Module, sizes: HeadSizes, parts: int = 1) -> None:
        super().__init__()
        self.encoder = encoder
        self.parts = parts
        self.heads = nn.ModuleList(ProjectionHead(features, sizes) for features in encoder.output_channels)

    def forward(self, *groups: Tensor) -> list[Tensor]:
        """Map groups of views (V, C, z, y, x), each of another size, to embeddings (all V, bottleneck) of each stage.

        A head normalises over the views of all groups, as in DINO.
        """
        stages = zip(*(in_parts(self._pooled, views, self.parts) for views in groups), strict=True)
        return [head(torch.cat(pooled)) for head, pooled in zip(self.heads, stages, strict=True)]

    def _pooled(self, views: Tensor) -> list[Tensor]:
        return [pool(features) for features in self.encoder(views)]


class Teacher(nn.Module):
    """Encoder f_t with the head of the last stage; starts as a copy of the student and learns no gradient."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(student.encoder)
        self.parts = student.parts
        self.head = copy.deepcopy(student.heads[-1])
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: Tensor) -> Tensor:
        """Map views (V, C, z, y, x) to the output of the head's MLP, (V, bottleneck)."""
        (pooled,) = in_parts(lambda part: [pool(self.encoder(part)[-1])], views, self.parts)
        return self.head(pooled)

    @torch.no_grad()
    def follow(self, student: Student, momentum: float) -> None:
        """Move every parameter towards the student's: theta_t <- momentum theta_t + (1 - momentum) theta_s.

        Buffers (running statistics of the head's batch normalisation) are the teacher's own, as in DINO.
        """
        own = [*self.encoder.parameters(), *self.head.parameters()]
        others = [*student.encoder.parameters(), *student.heads[-1].parameters()]
        torch._foreach_lerp_(own, others, 1 - momentum)
