"""Time to parse the workflow, as every job does, and to build the DAG of the paper's full study. `make bench`."""

import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.workflow import ROOT, job_counts, snakemake

PATIENTS = {"AISD": 397, "APIS": 60, "icoAIS": 167, "CENTER-TBI": 637}  # paper, section 3.1
MRI = {"AISD": "dwi", "APIS": "adc", "icoAIS": "dwi;adc", "CENTER-TBI": ""}


def write_study(folder: Path) -> None:
    """Write the paper's case sheet over empty files."""
    header = (ROOT / "cases.tsv").read_text().strip()
    rows = []
    for cohort, count in PATIENTS.items():
        labelled = cohort != "CENTER-TBI"
        for number in range(1, count + 1):
            case = f"P{number:04d}"
            images = [image for image in MRI[cohort].split(";") if image]
            names = ["ncct", *images, *(["lesion"] if labelled else [])]
            place = folder / "scans" / cohort / case
            place.mkdir(parents=True)
            for name in names:
                (place / f"{name}.nii.gz").touch()
            paths = {name: f"scans/{cohort}/{case}/{name}.nii.gz" for name in names}
            space = "" if not labelled else "ncct" if cohort == "AISD" else "mri"
            mri = ";".join(paths[image] for image in images)
            cells = [cohort, case, case, paths["ncct"], mri, MRI[cohort], paths.get("lesion", ""), space]
            rows.append("\t".join([*cells, "", "", "", "", "", ""]))
    (folder / "cases.tsv").write_text("\n".join([header, *rows]) + "\n")


def timed(folder: Path, *arguments: str) -> tuple[float, str]:
    start = time.perf_counter()
    output = snakemake(folder, "-n", "--quiet", "rules", *arguments).stdout
    return time.perf_counter() - start, output


def processor_seconds(folder: Path, snakefile: Path) -> float:
    """Return the processor time of one Snakemake that parses ``snakefile`` in ``folder`` and does nothing else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "--list-rules", "-s", str(snakefile)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bench_parsing(tmp_path: Path) -> None:
    write_study(tmp_path)
    bare = tmp_path / "bare.smk"
    bare.write_text("rule all:\n    localrule: True\n")
    start = min(processor_seconds(tmp_path, bare) for _ in range(3))
    whole = min(processor_seconds(tmp_path, ROOT / "Snakefile") for _ in range(3))
    print(f"\nSnakemake's own start, a workflow of one rule: {start:.2f} s of processor time (reference)")
    print(f"this workflow, {sum(PATIENTS.values())} cases: {whole:.2f} s, parsing it {whole - start:.2f} s")
    print(f"ratio: {whole / start:.2f}")


def bench_full_study_dry_run(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "cases.tsv").write_text((ROOT / "cases.tsv").read_text())
    parsing, _ = timed(empty)
    full = tmp_path / "full"
    full.mkdir()
    write_study(full)
    building, output = timed(full)
    jobs = job_counts(output)
    print(f"\nparsing, empty case sheet: {parsing:.1f} s (reference)")
    print(f"dry run, {sum(PATIENTS.values())} cases, {jobs['total']} jobs: {building:.1f} s")
    print(f"ratio: {building / parsing:.1f}")
