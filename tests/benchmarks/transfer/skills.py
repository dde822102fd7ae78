"""What encoders tell of heads without a training on labels, beside what needs no network, and a supervised encoder."""

from collections.abc import Mapping, Sequence

import numpy as np

from tests.benchmarks.transfer.heads import Head
from tests.benchmarks.transfer.results import CONFIDENCE
from workflow_scripts.pretrain.probe.baselines import BASELINES
from workflow_scripts.pretrain.probe.skills import Cases, probe_skill, weights_of


def attributes(found: Sequence[Head]) -> dict[str, np.ndarray]:
    """Values of each head, (N,): sizes are floats; the side is a word, of where most of the lesion lies."""
    middles = [[np.argwhere(mask)[:, 2].mean() for mask in (head.lesion, head.brain)] for head in found]
    return {
        "brain volume": np.array([float(head.brain.sum()) for head in found]),
        "lesion volume (log)": np.array([float(np.log(head.lesion.sum())) for head in found]),
        "side of the lesion": np.array(["low" if lesion < brain else "high" for lesion, brain in middles]),
    }


def baselines(images: Sequence[np.ndarray], found: Sequence[Head]) -> dict[str, np.ndarray]:
    """Features (N, features) that need no network, of normalised images (z, y, x)."""
    return {
        name: np.stack([of(image[None], head.brain) for image, head in zip(images, found, strict=True)])
        for name, of in BASELINES.items()
    }


def table(features: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], draws: int, seed: int) -> list[str]:
    """Rows of Markdown: the skill of a linear probe on features (N, f), with its interval over heads."""
    heads = np.arange(len(next(iter(values.values()))))
    weights = weights_of(heads, draws, seed)
    lines = [f"| features | {' | '.join(values)} |", "|---" * (1 + len(values)) + "|"]
    for name, rows in features.items():
        cells = []
        for each in values.values():
            skills = probe_skill(rows, Cases(each, heads, weights, seed))
            low, high = np.quantile(skills[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            cells.append(f"{skills[0]:.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
