"""What the settings of a training may be: the schema of the configuration says it, whoever writes the settings."""

from collections.abc import Mapping
from typing import Any

from workflow_scripts.common.errors import InputError
from workflow_scripts.study.schemas import allowed, first_error, load_schema


def require_pretrain_values(settings: Mapping[str, Any], where: str) -> None:
    """Raise `InputError`, naming the key after ``where``, for a setting of a pretraining that the schema refuses."""
    schema = load_schema("config")
    sections = schema["properties"]
    shared = {**sections["pretrain"]["properties"], "optimiser": schema["$defs"]["optimiser"]}
    _require(settings, {**sections["pretrainings"]["additionalProperties"]["properties"], **shared}, schema, where)
    if found := contradiction(settings):
        key, complaint = found
        raise InputError(f"{where}.{key}: {complaint}", "correct it.")


def require_finetune_values(settings: Mapping[str, Any], where: str) -> None:
    """Raise `InputError`, naming the key after ``where``, for a setting of a finetuning that the schema refuses."""
    schema = load_schema("config")
    sections = schema["properties"]
    own = {"epochs": sections["arms"]["additionalProperties"]["properties"]["epochs"]}
    encoder = {"anyOf": [{"type": "null"}, sections["finetune"]["properties"]["encoder"]]}
    _require(settings, {**sections["finetune"]["properties"], **own, "encoder": encoder}, schema, where)


def contradiction(pretrain: Mapping[str, Any], asked: Mapping[str, int] | None = None) -> tuple[str, str] | None:
    """Return key and complaint for the first of the settings that do not go together; None where they do.

    ``asked`` are the resources of a pretraining, where they are known: ``nodes`` with ``gpu`` GPUs each.
    """
    samples, batch, slab = pretrain["samples_per_epoch"], pretrain["batch_size"], pretrain["slab_slices"]
    if samples % batch:
        return "samples_per_epoch", f"{samples} is no multiple of batch_size, {batch}."
    processes = max(asked["gpu"], 1) * asked["nodes"] if asked else 1
    if batch % processes:
        return "batch_size", f"{batch} cannot be shared by the {processes} GPUs of resources.pretrain."
    patches = {"patch_size": pretrain["patch_size"]}
    if pretrain["local_views"]["count"]:
        patches["local_views.patch_size"] = pretrain["local_views"]["patch_size"]
    for key, patch in patches.items():
        if slab < patch[0]:
            return "slab_slices", f"{slab} is below the {patch[0]} slices of {key}, {list(patch)}."
    return None


def _require(settings: Mapping[str, Any], properties: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    error = first_error(settings, {"properties": properties, "$defs": schema["$defs"]})
    if error is not None:
        key = ".".join([where, *map(str, error.absolute_path)])
        raise InputError(f"{key}: {allowed(error)}", "see the comments of config.yaml.")
