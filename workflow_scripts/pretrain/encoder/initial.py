"""Weights that a pretraining begins from: of another pretraining, an export of ours, or a network of nnU-Net."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.tensor_files import read_tensors
from workflow_scripts.pretrain.encoder.adaptation_plan import complete_plan, located, require_same

NAMED_WEIGHTS = 4
REMEDY = "give encoder.pt of a pretraining, an export of it, or a checkpoint of nnU-Net."
WRAPPERS = ("module.", "_orig_mod.")  # of data-parallel and of compiled networks
ENCODER = "encoder."


@dataclass(frozen=True)
class InitialWeights:
    """Weights under the keys of an encoder, and where they are from.

    Attributes
    ----------
    file, digest
        name of the file, and SHA-256 of its bytes
    cases
        cohort/case of every image that they have seen, also by intensity statistics; None where the file does not say
    """

    weights: Mapping[str, Tensor]
    file: str
    digest: str
    cases: tuple[str, ...] | None

    def description(self) -> dict[str, Any]:
        """Return what the trained encoder says of where it began."""
        return {"file": self.file, "sha256": self.digest, "cases": None if self.cases is None else list(self.cases)}


def read_initial(path: Path, architecture: Mapping[str, Any]) -> InitialWeights:
    """Read encoder.pt, an export of it, or a checkpoint of nnU-Net; only tensors and plain values are unpickled.

    ``architecture`` is that of the plans: strides cannot be seen in weights, so what the file says of the network that
    it comes from must equal it entry by entry.

    Raises `InputError` for a file of another kind or network.
    """
    content = read_tensors(path, REMEDY)
    given = content.get("network_weights") or content.get("state_dict") or content
    named = isinstance(given, Mapping) and all(isinstance(key, str) for key in given)
    weights = _of_encoder(given) if named else {}
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path.name} holds no weights of a network.", REMEDY)
    with complete_plan():
        theirs, cases = _architecture(content), _cases(content)
        described = None if theirs is None else located(theirs)
    if described is not None:
        require_same(described, located(architecture))
    return InitialWeights(weights, path.name, file_digest(path), cases)


def require_fitting(weights: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> None:
    """Raise `InputError`, which names the weights, for other keys or shapes than an encoder's, and for NaN."""
    problems = [f"{key} is missing" for key in encoder.keys() - weights.keys()]
    problems += [f"the encoder has no {key}" for key in weights.keys() - encoder.keys()]
    problems += [
        f"{key} has shape {list(weights[key].shape)}, the encoder's {list(encoder[key].shape)}"
        for key in encoder.keys() & weights.keys()
        if weights[key].shape != encoder[key].shape
    ]
    problems += [
        f"{key} holds values that are no finite numbers" for key in weights if not weights[key].isfinite().all()
    ]
    if problems:
        problems = sorted(problems)
        more = len(problems) - NAMED_WEIGHTS
        raise InputError(
            f"The initial weights do not fit: {'; '.join(problems[:NAMED_WEIGHTS])}"
            + (f"; and {more} more." if more > 0 else "."),
            "give weights of an encoder with the same plan and channels.",
        )


def _of_encoder(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep an encoder's part of a network's weights; a decoder of nnU-Net holds the encoder a second time."""
    weights = {}
    for key, value in given.items():
        for wrapper in WRAPPERS:
            key = key.removeprefix(wrapper)
        weights[key] = value
    inside = {key.removeprefix(ENCODER): value for key, value in weights.items() if key.startswith(ENCODER)}
    return inside or weights


def _architecture(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the network's class arguments that the file states, None where it states none."""
    if "architecture" in content:
        return content["architecture"]
    if "nnssl_adaptation_plan" in content:
        theirs = content["nnssl_adaptation_plan"]["architecture_plans"]
        required = theirs["arch_kwargs_requiring_import"]
        return {"arch_kwargs": theirs["arch_kwargs"], "_kw_requires_import": required} if required else None
    if "init_args" in content:
        arguments = content["init_args"]
        return arguments["plans"]["configurations"][arguments["configuration"]].get("architecture")
    return None


def _cases(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "cases" not in content:
        return None
    before = content.get("initial_weights")
    if before and before["cases"] is None:
        return None
    earlier = before["cases"] if before else []
    return tuple(sorted({*content["cases"], *content["statistics_cases"], *earlier}))
