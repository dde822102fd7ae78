"""A reference of the pretraining's benchmark: a step as it is usually written.

A plain transcription of DINO with a head a stage: weight-normalised last layers, full softmaxes of teacher and student,
the exponential moving average parameter by parameter.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


class PlainHead(nn.Module):
    """DINO's head on pooled features."""

    def __init__(self, features: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(features, hidden),
            nn.BatchNorm1d(hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.last = weight_norm(nn.Linear(bottleneck, prototypes, bias=False))
        self.last.parametrizations.weight.original0.data.fill_(1)
        self.last.parametrizations.weight.original0.requires_grad = False

    def forward(self, features: Tensor) -> Tensor:
        """Map a feature map (B, C, z, y, x) to logits (B, K)."""
        return self.last(F.normalize(self.mlp(features.mean((2, 3, 4))), dim=-1))


class PlainStudent(nn.Module):
    """Encoder and a head for each stage."""

    def __init__(self, encoder: nn.Module, *sizes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(PlainHead(features, *sizes) for features in encoder.output_channels)

    def forward(self, views: Tensor) -> list[Tensor]:
        """Map views to the logits of all stages."""
        return [head(features) for head, features in zip(self.heads, self.encoder(views), strict=True)]


class PlainDino:
    """Student, teacher, centre, optimiser and their step."""

    def __init__(self, encoder: nn.Module, hidden: int, bottleneck: int, prototypes: int) -> None:
        self.student = PlainStudent(encoder, hidden, bottleneck, prototypes)
        self.student.to(next(encoder.parameters()).device)
        # The teacher has the head of the last stage alone.
        self.followed = nn.ModuleList([self.student.encoder, self.student.heads[-1]])
        self.teacher = copy.deepcopy(self.followed)
        for parameter in self.teacher.parameters():
            parameter.requires_grad = False
        self.centre = torch.zeros(1, prototypes, device=next(encoder.parameters()).device)
        trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        groups = [[p for p in trained if (p.ndim > 1) == matrix] for matrix in (True, False)]
        self.optimiser = torch.optim.AdamW(
            [{"params": groups[0], "weight_decay": 0.04}, {"params": groups[1], "weight_decay": 0.0}], lr=1e-3
        )

    def step(self, views: Tensor) -> float:
        """Learn from pairs (2B, C, z, y, x), first views first."""
        with torch.no_grad():
            encoder, head = self.teacher
            teacher = head(encoder(views)[-1])
        losses = []
        for logits in self.student(views):
            students = (logits / 0.1).chunk(2)
            targets = F.softmax((teacher - self.centre) / 0.04, dim=-1).detach().chunk(2)
            pairs = [
                torch.sum(-target * F.log_softmax(student, dim=-1), dim=-1).mean()
                for i, target in enumerate(targets)
                for j, student in enumerate(students)
                if i != j
            ]
            losses.append(sum(pairs) / len(pairs))
        loss = sum(losses) / len(losses)
        self.optimiser.zero_grad()
        loss.backward()
        for parameter in self.student.parameters():
            if parameter.grad is not None:
                norm = parameter.grad.norm(2)
                factor = 3.0 / (norm + 1e-6)
                if factor < 1:
                    parameter.grad.mul_(factor)
        self.optimiser.step()
        with torch.no_grad():
            for own, other in zip(self.teacher.parameters(), self.followed.parameters(), strict=True):
                own.data.mul_(0.9996).add_(other.detach().data, alpha=1 - 0.9996)
            self.centre = self.centre * 0.9 + teacher.mean(0, keepdim=True) * 0.1
        return loss.item()
