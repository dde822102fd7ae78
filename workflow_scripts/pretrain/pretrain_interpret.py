"""Project the representations of a pretrained encoder and attribute them to voxels (paper 3.4.3, Fig. 8).

A case's representation is the average over space of the encoder's last feature maps, computed on the whole image. t-SNE
puts the cases into a plane; k-means picks cases in the middle of the groups there; integrated gradients of the sum of
the representation, from an image that is background everywhere, say which voxels it hangs on.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE

from workflow_scripts.common import seeds
from workflow_scripts.common.cli import run
from workflow_scripts.common.device import choose_device
from workflow_scripts.common.files import read_tsv, replacing, write_tsv
from workflow_scripts.common.nnunet.arrays import background_of, read_case
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder
from workflow_scripts.pretrain.probe.representation import (
    Representation,
    embed,
    padded,
    stride_of,
)

log = logging.getLogger(__name__)

EMBEDDING_COLUMNS = ("cohort", "case", "split", "x", "y")
NEIGHBOUR_COLUMNS = ("group", "neighbour", "cohort", "case", "split", "x", "y")
GROUPS, NEIGHBOURS = 3, 6
MIN_TSNE = 4


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
    return TSNE(
        perplexity=perplexity, init="pca", random_state=seeds.integer(seed, "t-SNE"), method="exact"
    ).fit_transform(standard)


def representatives(points: np.ndarray, seed: int) -> list[list[int]]:
    """Return, for each group of points (n, 2), the point nearest to its centre and after it its nearest neighbours."""
    centres = (
        KMeans(n_clusters=min(GROUPS, len(points)), n_init=10, random_state=seeds.integer(seed, "groups of cases"))
        .fit(points)
        .cluster_centers_
    )
    chosen = []
    for centre in sorted(centres.tolist()):
        first = int(np.linalg.norm(points - centre, axis=1).argmin())
        chosen.append(np.linalg.norm(points - points[first], axis=1).argsort(kind="stable")[:NEIGHBOURS].tolist())
    return chosen


def attribute(
    model: Representation, image: np.ndarray, background: np.ndarray, steps: int, device: torch.device
) -> np.ndarray:
    """Return the integrated gradients (C, z, y, x) of the summed representation of one image."""
    images = torch.from_numpy(image)[None].to(device)
    baseline = torch.from_numpy(np.broadcast_to(background[:, None, None, None], image.shape).copy())[None].to(device)
    explained = IntegratedGradients(model.total).attribute(images, baseline, n_steps=steps, internal_batch_size=1)
    return explained[0].detach().cpu().numpy()


def explain(
    model: Representation, dataset: Path, key: str, stride: Sequence[int], steps: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle axial slice of a case's brain and of its attribution, both (C, y, x)."""
    image, brain = read_case(dataset / "arrays", key)
    background = background_of(image, brain)
    attribution = attribute(model, padded(image, background, stride), background, steps, device)
    used = np.flatnonzero(brain.any(axis=(1, 2)))
    middle = int(used.mean()) if len(used) else image.shape[1] // 2
    return image[:, middle], attribution[:, middle, : image.shape[2], : image.shape[3]]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.pt of the pretraining")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the pretraining's arrays and cases.tsv")
    parser.add_argument("--perplexity", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True, help="of the integrated gradients")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--out-embedding", type=Path, required=True)
    parser.add_argument("--out-neighbours", type=Path, required=True)
    parser.add_argument("--out-slices", type=Path, required=True, help="NPZ")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the projected cases, the groups of neighbours, and the slices of these.

    Slices are named ``image-{group}-{neighbour}`` and ``attribution-{group}-{neighbour}``, each (C, y, x).
    """
    arguments = _parse(argv)
    torch.set_num_threads(arguments.threads)

    device = choose_device(arguments.gpus)
    encoder, content = load_encoder(arguments.encoder)
    model = Representation(encoder).to(device).eval().requires_grad_(False)
    stride = stride_of(content["architecture"])
    rows = read_tsv(arguments.dataset / "cases.tsv")
    features = embed([model], arguments.dataset, [row["key"] for row in rows], stride, device)[0]
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
