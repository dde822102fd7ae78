"""What is published of a new patient, whole or not at all."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.files import read_json, read_tsv, replacing_entries, write_json, write_tsv
from workflow_scripts.study import paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.models import is_dicom

PAGE = "report.html"
SCAN = "ncct_upright.nii.gz"
IMAGES = ("lesion.nii.gz", "lesion_upright.nii.gz", "agreement.nii.gz", "probability.nii.gz")
REPORT = "report.json"
TIMES = "times.tsv"
BATCHES, NETWORKS = "patients/batch-*", "networks.json"
FILES = (*IMAGES, "lesion.json", PAGE)
DICOM_FILES = (MASK, CAPTURE) = ("lesion.dcm", "report.dcm")


def publish(results: Path, cohort: str, case: str, out: Path, dicom: Sequence[str]) -> None:
    """Move what was made of a patient into ``out``, where nothing of an earlier scan stays.

    ``dicom``: which of `DICOM_FILES` belong to this run.
    """
    made = Path(paths.file(str(results), "patient", cohort=cohort, case=case))
    scan = Path(paths.file(str(results), "ingested", "ncct.nii.gz", cohort=cohort, case=case))
    with replacing_entries(out) as folder:
        for name in (*FILES, *dicom):
            shutil.copyfile(made / name, folder / name)
        shutil.copyfile(scan, folder / SCAN)
        times = times_of(results, cohort, case)
        write_tsv(folder / TIMES, times, ("step", "seconds", "memory_mb"))
        seconds = {row["step"]: float(row["seconds"]) for row in times}
        write_json(folder / REPORT, read_json(made / REPORT) | {"seconds": seconds})
        for name in set(DICOM_FILES) - set(dicom):
            (out / name).unlink(missing_ok=True)


def dicom_files(case: Case, with_report: bool) -> list[str]:
    """Return which of `DICOM_FILES` a case gets."""
    wanted = [MASK, *([CAPTURE] if with_report else [])]
    return wanted if is_dicom(Path(case.ncct)) else []


def times_of(results: Path, cohort: str, case: str) -> list[dict[str, str]]:
    """Return where the time went: step, seconds, largest memory in MB, from what Snakemake measured.

    The networks' row is of the whole batch that the patient was segmented in.
    """
    benchmarks = Path(paths.file(str(results), "benchmarks"))
    files = {file.parts[-3]: file for file in benchmarks.glob(f"*/*/{cohort}/{case}.tsv")}
    for batch in sorted(results.glob(f"{BATCHES}/{NETWORKS}"), key=lambda path: path.stat().st_mtime):
        if f"{cohort}/{case}" in read_json(batch)["made"]:
            files["run_networks"] = benchmarks / f"segment/run_networks/{batch.parent.name.removeprefix('batch-')}.tsv"
    measured = {step: read_tsv(file)[-1] for step, file in files.items()}
    rows = [{"step": step, "seconds": row["s"], "memory_mb": row["max_rss"]} for step, row in measured.items()]
    return sorted(rows, key=lambda row: -float(row["seconds"]))
