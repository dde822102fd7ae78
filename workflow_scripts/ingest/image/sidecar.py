"""What the JSON that converters write beside a NIfTI file says about the scan."""

import logging
from pathlib import Path
from typing import Any

from workflow_scripts.common.dicom.computed import computed
from workflow_scripts.common.dicom.contrast import is_agent, says_contrast
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json

log = logging.getLogger(__name__)

AGENTS = ("ContrastBolusAgent", "ContrastBolusIngredient")  # DICOM's name; what dcm2niix and BIDS write


def said_beside(image: Path) -> list[str]:
    """Return what the JSON beside a NIfTI file says against a native CT; empty where there is none that can be read."""
    path = image.with_name(image.name[: image.name.lower().rindex(".nii")] + ".json")
    if not path.is_file():
        return []
    try:
        content = read_json(path)
    except InputError:
        content = None
    if not isinstance(content, dict):
        log.warning("The JSON beside the NIfTI file cannot be read; nothing is known of how the scan was made.")
        return []
    types, description = _texts(content, "ImageType"), " ".join(_texts(content, "SeriesDescription"))
    comments = _texts(content, "DerivationDescription") + _texts(content, "ImageComments")
    agents = [text for key in AGENTS for text in _texts(content, key)]
    made = computed(set(types), " ".join([description, *comments]), " ".join(_texts(content, "ManufacturersModelName")))
    contrast = says_contrast(description) or any(map(is_agent, agents))
    return ["contrast medium"] * contrast + [made] * bool(made)


def _texts(content: dict[str, Any], key: str) -> list[str]:
    value = content.get(key)
    return [str(one).strip().upper() for one in (value if isinstance(value, list) else [value]) if one is not None]
