"""What the files of an exported model must hold, beyond being the files that were exported."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json

AGAIN = "get the model anew (its zip, or `export_<arm>` in the study that trained it)."
PREPROCESSING, REFERENCE, DATASET, PLANS = "preprocessing.json", "reference.json", "dataset.json", "plans.json"
TEMPLATES = ("template.nii.gz", "template_mask.nii.gz")
KEYS = {
    PREPROCESSING: ("seed", "ingest", "preprocess", "segment"),
    REFERENCE: ("scans", "limits", "features"),
    DATASET: ("channels", "channel_names", "labels"),
    PLANS: ("configurations", "plans_name", "image_reader_writer"),
}
# The numbers that a scan is compared by: one that lacked would be compared with nothing, and never be flagged.
MEASURES = ("brain_ml", "median_hu", "quartiles_apart_hu", "percentile_1_hu", "percentile_99_hu", "noise_hu")


def check_contents(folder: Path, files: Mapping[str, Any]) -> None:
    """Raise `InputError`, naming the file, where one of a model's JSON files is incomplete, or its template lacks."""
    contents = {name: _mapping(folder / name) for name in KEYS}
    for name, keys in KEYS.items():
        for key in keys:
            if key not in contents[name]:
                raise _incomplete(name, f"it has no {key!r}")
    if "3d_fullres" not in contents[PLANS]["configurations"]:
        raise _incomplete(PLANS, "it has no configuration 3d_fullres")
    reference = contents[REFERENCE]
    for measure in MEASURES:
        limits = reference["limits"].get(measure) if isinstance(reference["limits"], dict) else None
        if not _are_numbers(limits, 2):
            raise _incomplete(REFERENCE, f"its limits of {measure} are not two numbers")
    _check_space(reference["features"])
    preprocess = contents[PREPROCESSING]["preprocess"]
    if isinstance(preprocess, dict) and preprocess.get("contralateral") == "template":
        for name in TEMPLATES:
            if name not in files:
                raise InputError(f"The model lacks {name}, through which its images are mirrored.", AGAIN)


def _check_space(space: Any) -> None:
    """Check where the features of the training scans lie; None where they were too few."""
    if space is None:
        return
    size = len(space["mean"]) if isinstance(space, dict) and isinstance(space.get("mean"), list) else 0
    rows = space.get("precision") if size else None
    whole = size and isinstance(rows, list) and len(rows) == size and all(_are_numbers(row, size) for row in rows)
    if not (whole and all(_are_numbers(space.get(name), size) for name in ("mean", "sd")) and "limit" in space):
        raise _incomplete(REFERENCE, "its features are not mean, sd, precision and limit of one size")


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise _incomplete(path.name, "it is no JSON") from None
    if not isinstance(content, dict):
        raise _incomplete(path.name, "it holds no mapping")
    return content


def _incomplete(name: str, reason: str) -> InputError:
    return InputError(f"{name} of the model is incomplete: {reason}.", AGAIN)
