"""What the page of a new patient is made of: a ball for a head, a smaller one for a lesion."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.volume import Volume, save_volume

SHAPE, MM = (40, 48, 36), 4.0
MODEL = {"arm": "FS-STKi", "code": "0123", "format": 1, "licence": None, "seeds": [0, 1], "vote": "majority"}
REPORT = {
    "notice": "RESEARCH USE ONLY. Not a medical device.",
    "lesion_ml": 12.3,
    "lesion_ml_of_seeds": [10.0, 15.0],
    "side": "left",
    "components": 1,
    "seed_dice": [0.8],
    "brain_ml": 1300.0,
    "flags": ["slices missing", "noise unlike the training set"],
    "compared_with_training": [{"number": "noise_hu", "value": 9.0, "low": 1.0, "high": 5.0, "flag": "noise"}],
    "quality": {"checks": [{"flag": "slices missing", "value": 1, "limit": 0, "level": 2}], "flags": []},
    "not_made": {"lesion.dcm": "a DICOM Segmentation refers to a DICOM series, and the scan is a NIfTI file"},
    "model": {**MODEL, "versions": {"torch": "2"}},
}


def ball(radius_mm: float, offset_mm: float = 0.0) -> np.ndarray:
    """Boolean ball, ``offset_mm`` to the right of the middle."""
    steps = (np.indices(SHAPE).reshape(3, -1).T - (np.array(SHAPE) - 1) / 2) * MM - [offset_mm, 0, 0]
    return (np.linalg.norm(steps, axis=1) < radius_mm).reshape(SHAPE)


def page_arguments(
    folder: Path, page: Path, notice: str = "Phantoms.", lesion_mm: float = 15, report: dict[str, Any] = REPORT
) -> list[str]:
    """Write the files of a new patient into ``folder``; return the arguments of new_patient_page."""
    head, brain, lesion = ball(70), ball(55), ball(lesion_mm, 25)
    ncct = np.where(head, 1000.0, -1000) - 965 * brain - 15 * lesion
    volumes = {
        "scan": ncct,
        "lesion": lesion,
        "agreement": ball(4 / 3 * lesion_mm, 25),
        "ncct": ncct,
        "mirrored": ncct[::-1],
    }
    for name, data in (volumes | {"brain": brain, "mask": lesion}).items():
        save_volume(folder / f"{name}.nii.gz", Volume(data.astype(np.float32), np.diag([MM] * 3 + [1])), np.float32)
    (folder / "report.json").write_text(json.dumps(report))
    files = [word for name in (*volumes, "brain", "mask") for word in (f"--{name}", str(folder / f"{name}.nii.gz"))]
    told = ["--report", str(folder / "report.json"), "--notice", notice, "--out", str(page)]
    return ["--cohort", "new", "--case", "patient", *files, *told]
