"""The command lines of the stage, with the settings of the study."""

import json
from pathlib import Path

import nibabel as nib

from workflow_scripts.ingest.ingest_ncct import main

CASE = ["--cohort", "A", "--case", "a-1"]
SETTINGS = ["--hu-floor=-1024", "--min-slices=10", "--max-missing-slices=1", "--min-coverage-mm=80"]


def ncct_arguments(source: Path, target: Path, *extra: str) -> list[str]:
    """Arguments of ingest_ncct that write ncct.nii.gz and ncct.json into a folder."""
    outputs = ["--out-image", str(target / "ncct.nii.gz"), "--out-record", str(target / "ncct.json")]
    return [*CASE, *SETTINGS, "--input", str(source), *outputs, *extra]


def mri_command(source: Path, image: Path, modality: str = "dwi", *extra: str) -> list[str]:
    """Arguments of ingest_mri that write an image, and its record beside it."""
    record = image.with_name(f"{modality}.json")
    settings = ["--modality", modality, "--min-slices=10", "--max-missing-slices=1"]
    return [*CASE, *settings, "--input", str(source), "--out-image", str(image), "--out-record", str(record), *extra]


def ingest_ncct(source: Path, target: Path, *extra: str) -> tuple[nib.Nifti1Image, dict]:
    """Run ingest_ncct and read what it wrote."""
    main(ncct_arguments(source, target, *extra))
    return nib.load(target / "ncct.nii.gz"), json.loads((target / "ncct.json").read_text())
