"""Make one phantom case: its scans as a hospital would hand them over, and the truth about it."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import replacing_folder, write_json
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.phantom.body.anatomy import Anatomy, build_anatomy
from workflow_scripts.phantom.body.plan import CasePlan, plan_case
from workflow_scripts.phantom.scanner.dicom import Series, write_localizer, write_series
from workflow_scripts.phantom.scanner.layouts import is_folder, layout
from workflow_scripts.phantom.scanner.scan import Scans, Truth, build_patient, find_truth, has_padding, scan

log = logging.getLogger(__name__)


def add_resolution(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, ``--voxel-mm`` and ``--slice-mm``."""
    parser.add_argument("--seed", type=int, required=True, help="of the cohort; each case derives its own")
    parser.add_argument("--voxel-mm", type=float, required=True, help="nominal in-plane voxel size")
    parser.add_argument("--slice-mm", type=float, required=True, help="distance of the slices")


def make_case(anatomy: Anatomy, plan: CasePlan, voxel_mm: float, slice_mm: float, out: Path, truth: Path) -> None:
    """Make the case of ``plan`` and write all its files."""
    patient = build_patient(anatomy, plan)
    scans = scan(patient, plan, voxel_mm, slice_mm)
    write_scans(scans, plan, out)
    found = find_truth(patient, plan, voxel_mm, slice_mm)
    write_truth(found, scans.mri_to_ncct, truth)
    lesion_ml = float(found.lesion_ncct.data.sum()) * found.lesion_ncct.voxel_ml
    log.info("%s/%s: NCCT %s, %s, %.1f mL", plan.cohort, plan.case, scans.ncct.data.shape, plan.side, lesion_ml)


def write_scans(scans: Scans, plan: CasePlan, out: Path) -> None:
    """Write images and mask in the formats of the cohort."""
    names = layout(plan.cohort).files
    _write_ct(scans.ncct, plan, out / names["ncct"])
    for modality, volume in scans.mri.items():
        _write_mri(volume, plan, modality, out / names[modality])
    if scans.lesion is not None:
        save_volume(out / names["lesion"], scans.lesion, np.uint8)


def write_truth(truth: Truth, mri_to_ncct: np.ndarray | None, folder: Path) -> None:
    """Write the truth; a case without MRI has no ``mri_to_ncct.txt``."""
    with replacing_folder(folder) as temporary:
        save_volume(temporary / "untilted.nii.gz", truth.untilted, np.int16)
        save_volume(temporary / "brain_mask.nii.gz", truth.brain_mask, np.uint8)
        save_volume(temporary / "lesion_ncct.nii.gz", truth.lesion_ncct, np.uint8)
        write_json(temporary / "midsagittal.json", truth.midsagittal)
        write_json(temporary / "head.json", truth.parameters)
        if mri_to_ncct is not None:
            write_affine(temporary / "mri_to_ncct.txt", mri_to_ncct, "the MRI", "the NCCT")


def _write_ct(volume: Volume, plan: CasePlan, path: Path) -> None:
    if not is_folder(path.name):
        save_volume(path, volume, np.int16)
        return
    key = f"{plan.cohort} {plan.case} {plan.seed} ncct"
    series = Series(
        key=key,
        patient=f"{plan.cohort}-{plan.patient}",
        modality="CT",
        description="HEAD 5.0 H30",
        number=2,
        tilt_degrees=plan.tilt_degrees,
        signed=has_padding(plan),
        downwards=plan.number % 2 == 1,
    )
    with replacing_folder(path) as temporary:
        write_series(temporary, volume, series)
        if plan.number % 4 == 1:
            scout = Series(f"{key} scout", series.patient, "CT", "SCOUT", 1)
            write_localizer(temporary, volume.with_data(np.clip(volume.data, -1024, None)), scout)


def _write_mri(volume: Volume, plan: CasePlan, modality: str, path: Path) -> None:
    if not is_folder(path.name):
        save_volume(path, volume, np.int16)
        return
    with replacing_folder(path) as temporary:
        if plan.number % 2 == 1:
            save_volume(temporary / f"{modality}.nii.gz", volume, np.int16)
        else:
            key = f"{plan.cohort} {plan.case} {plan.seed} {modality}"
            patient = f"{plan.cohort}-{plan.patient}"
            write_series(temporary, volume, Series(key, patient, "MR", "EP2D DIFF B1000", 5))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    add_resolution(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the case")
    parser.add_argument("--out-truth", type=Path, required=True, help="folder of the case's truth")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files of one case into ``--out`` and its truth into ``--out-truth``."""
    arguments = _parse(argv)
    plan = plan_case(arguments.cohort, arguments.case, arguments.seed)
    make_case(
        build_anatomy(arguments.voxel_mm),
        plan,
        arguments.voxel_mm,
        arguments.slice_mm,
        arguments.out,
        arguments.out_truth,
    )


if __name__ == "__main__":
    run(main)
