"""What the file of a pretrained encoder says of itself, and the same for people to read."""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import torch
from torch import Tensor, nn

from workflow_scripts.common.digests import bytes_digest
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES
from workflow_scripts.common.nnunet.plans import CONFIGURATION, architecture
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.settings import PATCH_AXES, PretrainSettings
from workflow_scripts.pretrain.views.scans import Cohort

METHODS = {
    "desd": "deep self-distillation, Seia et al. 2023, section 3.4; weights of the teacher",
    "mae": "masked autoencoding, He et al. 2022, of the whole network; weights of its encoder",
}
PACKAGES = ("torch", "nnunetv2", "dynamic-network-architectures")

log = logging.getLogger(__name__)


@torch.no_grad()
def describe(
    encoder: nn.Module,
    settings: PretrainSettings,
    cohort: Cohort,
    plans: Mapping[str, Any],
    statistics_cases: Sequence[str],
    metrics: Mapping[str, Any],
    code: Sequence[str],
    initial: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what goes into ``encoder.pt`` beside the weights.

    Parameters
    ----------
    statistics_cases
        cohort/case whose intensities the normalisation's statistics come from
    metrics
        losses and other monitors at the end
    code
        digests of the code that trained, one after the other
    initial
        of the weights that it began from: file, sha256 and cases (None: not known); None for fresh ones

    Returns
    -------
    dict
        of plain types: architecture (network class and arguments, strides and kernels among them; of an encoder that
        nnU-Net did not plan, the name of the method alone), plans, channels,
        patch_size (of the views, z y x), spacing_mm, intensities (statistics of each channel, in the images' units),
        settings, image_set, splits, cases, case_list (SHA-256 of cases and their splits), statistics_cases, metrics,
        code, initial_weights, versions
    """
    configuration = plans["configurations"][CONFIGURATION]
    seen = cohort.of_splits(settings.splits)
    lines = sorted(f"{scan.name}\t{scan.split}\n" for scan in seen)
    return {
        "architecture": _architecture(encoder, plans, settings),
        "plans": dict(plans),
        "channels": list(settings.channels),
        "patch_size": list(settings.patch_size),
        "spacing_mm": configuration["spacing"],
        "intensities": plans[INTENSITIES],
        "settings": settings.to_mapping(),
        "image_set": settings.image_set,
        "splits": list(settings.splits),
        "cases": [scan.name for scan in seen],
        "case_list": bytes_digest("".join(lines).encode()),
        "statistics_cases": list(statistics_cases),
        "metrics": dict(metrics),
        "code": list(code),
        "initial_weights": initial,
        "versions": {package: version(package) for package in PACKAGES},
    }


def model_card(description: Mapping[str, Any], parameters: int) -> str:
    """Return a model card in Markdown; ``parameters`` counts the encoder's weights."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model_card.md.j2").render(
        **description,
        axes=PATCH_AXES,
        cohorts=sorted({case.split("/")[0] for case in description["cases"]}),
        method=METHODS.get(description["settings"]["method"], description["settings"]["method"]),
        network=description["architecture"]["arch_kwargs"],
        parameters=parameters,
    )


def _architecture(encoder: nn.Module, plans: Mapping[str, Any], settings: PretrainSettings) -> dict[str, Any]:
    planned = architecture(plans)
    if _is_planned(encoder, planned, settings):
        return planned
    return {"network_class_name": settings.method, "arch_kwargs": {}, "_kw_requires_import": []}


def _is_planned(encoder: nn.Module, planned: Mapping[str, Any], settings: PretrainSettings) -> bool:
    """Whether an encoder is the one that nnU-Net planned; of a method of one's own, whether it computes the same.

    Strides and activations show neither in the names nor in the shapes of weights.
    """
    wanted, weights = build_encoder(planned, len(settings.channels)), encoder.state_dict()
    if {name: value.shape for name, value in weights.items()} != {n: v.shape for n, v in wanted.state_dict().items()}:
        return False
    if settings.method in METHODS:
        return True
    wanted.load_state_dict(weights)
    device = next(encoder.parameters()).device
    views = torch.randn(1, len(settings.channels), *settings.patch_size, generator=torch.Generator().manual_seed(0))
    expected = wanted.to(device).eval()(views.to(device))
    try:
        found = encoder.eval()(views.to(device))
        return len(found) == len(expected) and all(map(_alike, found, expected))
    except Exception as error:  # noqa: BLE001 - the network of someone else may fail in any way
        log.warning("The encoder is not taken for the one that nnU-Net planned: it failed (%s)", type(error).__name__)
        return False


def _alike(found: Tensor, expected: Tensor) -> bool:
    # Wide enough for other kernels and TF32.
    return found.shape == expected.shape and bool(torch.dist(found, expected) <= 0.01 * expected.norm())
