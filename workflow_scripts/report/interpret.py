"""Project the representations of a pretrained encoder and attribute them to voxels (paper 3.4.3, Fig. 8).

A case's representation is the average over space of the encoder's last feature maps, computed on the whole image. t-SNE
puts the cases into a plane; k-means picks cases in the middle of the groups there; integrated gradients of the sum of
the representation, from an image that is background everywhere, say which voxels it hangs on.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch
from captum.attr import IntegratedGradients
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from torch import Tensor, nn

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv, replacing, write_tsv
from workflow_scripts.pretrain.checkpoint import load_encoder

log = logging.getLogger(__name__)

EMBEDDING_COLUMNS = ("cohort", "case", "split", "x", "y")
NEIGHBOUR_COLUMNS = ("group", "neighbour", "cohort", "case", "split", "x", "y")
GROUPS, NEIGHBOURS = 3, 6
MIN_TSNE = 4


class Representation(nn.Module):
    """An encoder of stages followed by the average over space: (B, C, z, y, x) to (B, features)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Average the feature maps of the last stage."""
        return self.encoder(images)[-1].mean(dim=(2, 3, 4))

    def total(self, images: Tensor) -> Tensor:
        """Sum all elements of the representation, (B,): what the attribution explains."""
        return self(images).sum(dim=1)


def background_of(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return the value of each channel (C, 1, 1, 1) outside the brain; its minimum when the brain fills the image."""
    outside = ~brain
    values = [np.median(channel[outside]) if outside.any() else channel.min() for channel in image]
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)


def padded(image: np.ndarray, background: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """Pad (C, z, y, x) at the far ends with the background, to whole steps of the encoder and two steps at least.

    With a single position left at the last stage, instance normalisation has no variance to divide by.
    """
    size = [max(2, -(-length // step)) * step for length, step in zip(image.shape[1:], stride, strict=True)]
    canvas = np.broadcast_to(background, (len(image), *size)).copy()
    canvas[:, : image.shape[1], : image.shape[2], : image.shape[3]] = image
    return canvas


def project(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Return t-SNE coordinates (n, 2) of standardised features (n, d).

    The perplexity is lowered to (n − 1)/3 where cases are few. With fewer than four cases t-SNE has nothing to
    arrange, and the first principal components are returned.
    """
    deviation = features.std(axis=0)
    standard = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    if len(features) < MIN_TSNE:
        left, values, _ = np.linalg.svd(standard, full_matrices=False)
        components = (left * values)[:, :2]
        return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    perplexity = min(perplexity, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed, method="exact").fit_transform(standard)


def representatives(points: np.ndarray, seed: int) -> list[list[int]]:
    """Return, for each group of points (n, 2), the point nearest to its centre and after it its nearest neighbours."""
    centres = KMeans(n_clusters=min(GROUPS, len(points)), n_init=10, random_state=seed).fit(points).cluster_centers_
    chosen = []
    for centre in sorted(centres.tolist()):
        first = int(np.linalg.norm(points - centre, axis=1).argmin())
        chosen.append(np.linalg.norm(points - points[first], axis=1).argsort(kind="stable")[:NEIGHBOURS].tolist())
    return chosen


def attribute(model: Representation, image: np.ndarray, background: np.ndarray, steps: int, device: str) -> np.ndarray:
    """Return the integrated gradients (C, z, y, x) of the summed representation of one image."""
    images = torch.from_numpy(image)[None].to(device)
    baseline = torch.from_numpy(np.broadcast_to(background, image.shape).copy())[None].to(device)
    explained = IntegratedGradients(model.total).attribute(images, baseline, n_steps=steps, internal_batch_size=1)
    return explained[0].detach().cpu().numpy()


def _read_case(arrays: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the normalised image (C, z, y, x) and the brain mask (z, y, x)."""
    image = blosc2.open(str(arrays / f"{key}.b2nd"), mode="r")[:]
    brain = blosc2.open(str(arrays / f"{key}_seg.b2nd"), mode="r")[0] > 0
    return np.asarray(image, np.float32), np.asarray(brain)


def _stride(architecture: Mapping[str, Any]) -> list[int]:
    return np.prod(architecture["arch_kwargs"]["strides"], axis=0).astype(int).tolist()


def embed(model: Representation, dataset: Path, keys: Sequence[str], stride: Sequence[int], device: str) -> np.ndarray:
    """Return the representation of each case, (n, features)."""
    features = []
    for key in keys:
        image, brain = _read_case(dataset / "arrays", key)
        prepared = padded(image, background_of(image, brain), stride)
        with torch.no_grad():
            features.append(model(torch.from_numpy(prepared)[None].to(device))[0].cpu().numpy())
    return np.stack(features)


def explain(
    model: Representation, dataset: Path, key: str, stride: Sequence[int], steps: int, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle axial slice of a case's brain and of its attribution, both (C, y, x)."""
    image, brain = _read_case(dataset / "arrays", key)
    background = background_of(image, brain)
    attribution = attribute(model, padded(image, background, stride), background, steps, device)
    used = np.flatnonzero(brain.any(axis=(1, 2)))
    middle = int(used.mean()) if len(used) else image.shape[1] // 2
    return image[:, middle], attribution[:, middle, : image.shape[2], : image.shape[3]]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the projected cases, the groups of neighbours, and the slices of these.

    Slices are named ``image-{group}-{neighbour}`` and ``attribution-{group}-{neighbour}``, each (C, y, x).
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.pt of the pretraining")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the pretraining's arrays and cases.tsv")
    parser.add_argument("--perplexity", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True, help="of the integrated gradients")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out-embedding", type=Path, required=True)
    parser.add_argument("--out-neighbours", type=Path, required=True)
    parser.add_argument("--out-slices", type=Path, required=True, help="NPZ")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, content = load_encoder(arguments.encoder)
    model = Representation(encoder).to(device).eval().requires_grad_(False)
    stride = _stride(content["architecture"])
    rows = read_tsv(arguments.dataset / "cases.tsv")
    features = embed(model, arguments.dataset, [row["key"] for row in rows], stride, device)
    points = project(features, arguments.perplexity, arguments.seed)
    cases = [row | {"x": float(x), "y": float(y)} for row, (x, y) in zip(rows, points, strict=True)]
    log.info("%d cases projected", len(cases))

    neighbours, slices = [], {}
    for group, members in enumerate(representatives(points, arguments.seed)):
        for neighbour, index in enumerate(members):
            pair = explain(model, arguments.dataset, rows[index]["key"], stride, arguments.steps, device)
            for kind, picture in zip(("image", "attribution"), pair, strict=True):
                slices[f"{kind}-{group}-{neighbour}"] = picture
            neighbours.append(cases[index] | {"group": group, "neighbour": neighbour})
            log.info("%s attributed", rows[index]["key"])
    write_tsv(arguments.out_embedding, cases, EMBEDDING_COLUMNS)
    write_tsv(arguments.out_neighbours, neighbours, NEIGHBOUR_COLUMNS)
    with replacing(arguments.out_slices) as temporary:
        np.savez_compressed(temporary, **slices)


if __name__ == "__main__":
    run(main)
