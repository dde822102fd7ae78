"""Time and memory of one case of real size, from DICOM to final images at 1 mm, by the rules themselves.

Run with `make bench`. A head phantom is scanned with 512 × 512 × 32 voxels of 0.45 × 0.45 × 5 mm under a gantry tilt of
15°, with a DWI of 128 × 128 × 32 voxels of 1.8 × 1.8 × 5 mm; both are DICOM. The lesion is drawn on the NCCT.
"""

import csv
import re
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import yaml

from tests.workflow import ROOT, snakemake
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.body.subject import rigid
from workflow_scripts.phantom.scanner import images
from workflow_scripts.phantom.scanner.acquisition import Grid, ct_grid, mri_grid
from workflow_scripts.phantom.scanner.defects import add_head_rest, rician
from workflow_scripts.phantom.scanner.dicom import Series, write_series
from workflow_scripts.phantom.scanner.images import Patient, render
from workflow_scripts.phantom.scanner.scan import build_patient

TARGET_S, TARGET_GB = 90.0, 4.0
COHORT, CASE, SEED = "AISD", "A01", 2023
CT_SHAPE, PIXEL_MM, SLICE_MM = (512, 512, 32), 0.45, 5.0
DWI_SHAPE, DWI_MM = (128, 128, 32), 1.8
MOTION = rigid((4.0, -3.0, 5.0), np.array([6.0, -8.0, 5.0]))
STUDY = {
    "cases": "cases.tsv",
    "outdir": "results",
    "run": {"arms": [], "segment": [], "evaluate": []},
    "preprocess": {"skull_stripping": {"ncct": "deepbet", "mri": "deepbet"}},
    "evaluate": {"comparisons": {"main": []}},
    "report": {"best_arms": [], "interpreted": []},
}
STEP = re.compile(r"-m workflow_scripts\.\w+\.(\w+)")
INTERVAL_S = 0.05


def write_case(folder: Path) -> None:
    """Write the scans of the case, its case sheet and the study's settings."""
    plan = plan_case(COHORT, CASE, SEED)
    patient = build_patient(build_anatomy(1.0), plan)
    head, rng = patient.head, plan.case_rng("ncct")
    grid = sized(ct_grid(patient, PIXEL_MM, SLICE_MM, plan.tilt_degrees, CT_SHAPE[0] * PIXEL_MM), CT_SHAPE)
    found = render(patient, {"hu": images.ct(), "lesion": images.infarct()}, grid.shape, grid.affine)
    noisy = add_head_rest(found["hu"], head) + images.ct_noise(grid.shape, grid.spacing, rng)
    ct = Series("ncct", CASE, "CT", "HEAD 5.0 H30", 2, tilt_degrees=plan.tilt_degrees)
    write_folder(folder / "ncct", found["hu"].with_data(np.clip(noisy, -1024, 3071)), ct)
    save_volume(folder / "lesion.nii.gz", found["lesion"].with_data(found["lesion"].data >= 0.5), np.uint8)
    grid = sized(mri_grid(patient, MOTION, DWI_MM, SLICE_MM, np.eye(4)), DWI_SHAPE)
    moved = Patient(replace(head, pose=head.pose @ np.linalg.inv(MOTION)), patient.lesions)
    signal = render(moved, {"dwi": images.dwi()}, grid.shape, grid.affine)["dwi"]
    noisy = signal.with_data(rician(signal.data, 14.0, rng))
    write_folder(folder / "dwi", noisy, Series("dwi", CASE, "MR", "EP2D DIFF B1000", 5))
    columns = (ROOT / "cases.tsv").read_text(encoding="utf-8").split("\n")[0].split("\t")
    row = {"cohort": COHORT, "patient": CASE, "case": CASE, "ncct": "ncct", "mri": "dwi", "mri_modality": "DWI"}
    row |= {"lesion": "lesion.nii.gz", "lesion_space": "ncct"}
    lines = ["\t".join(columns), "\t".join(row.get(column, "") for column in columns)]
    (folder / "cases.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")


def sized(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    """Give a grid another number of voxels, around the same middle in the plane and from the same lowest slice."""
    moved = grid.affine.copy()
    shift = (np.array(grid.shape) - shape) / 2 * (1, 1, 0)
    moved[:3, 3] += moved[:3, :3] @ shift
    return Grid(shape, moved)


def write_folder(folder: Path, volume: Volume, series: Series) -> None:
    folder.mkdir()
    write_series(folder, volume, series)


class Watch:
    """Processor seconds and highest resident memory (GB) of the processes below this one, by step; "" is Snakemake."""

    def __init__(self) -> None:
        self.memory: dict[str, float] = defaultdict(float)
        self.most_memory = 0.0
        self._seconds: dict[tuple[str, int], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def seconds(self, step: str) -> float:
        return sum(value for (name, _), value in self._seconds.items() if name == step)

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL_S):
            now: dict[str, float] = defaultdict(float)
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    step, times = step_of(process), process.cpu_times()
                    now[step] += process.memory_info().rss / 1e9
                    self._seconds[step, process.pid] = times.user + times.system
            self.most_memory = max(self.most_memory, sum(now.values()))
            for step, used in now.items():
                self.memory[step] = max(self.memory[step], used)


def step_of(process: psutil.Process) -> str:
    """Return the step that a process, or one above it, runs; empty for Snakemake itself."""
    found = STEP.search(" ".join(word for one in (process, *process.parents()) for word in one.cmdline()))
    return found[1] if found else ""


def read_benchmarks(folder: Path) -> dict[str, float]:
    """Return wall seconds of each step, in the order in which they ended."""
    steps = {}
    for path in sorted(folder.rglob("*.tsv"), key=lambda path: path.stat().st_mtime):
        with path.open(encoding="utf-8") as handle:
            row = next(csv.DictReader(handle, delimiter="\t"))
        steps[path.relative_to(folder).with_suffix("").parts[1]] = float(row["s"])
    return steps


def bench_preprocess_case(tmp_path: Path) -> None:
    write_case(tmp_path)
    arguments = ["--configfile", "study.yaml", "--quiet", "all", "--cores", "2"]
    snakemake(tmp_path, *arguments, "results/preprocess/template/template.nii.gz")  # made once a study
    with Watch() as watch:
        start = time.perf_counter()
        snakemake(tmp_path, *arguments, f"cohort_{COHORT}")
        total = time.perf_counter() - start
    steps = read_benchmarks(tmp_path / "results" / "benchmarks")
    steps.pop("template")
    print("\nstep                 wall s  processor s  peak GB")
    for step, seconds in steps.items():
        print(f"{step:20} {seconds:6.1f}  {watch.seconds(step):11.1f}  {watch.memory[step]:7.2f}")
    print(f"{'Snakemake':20} {'':6}  {watch.seconds(''):11.1f}  {watch.memory['']:7.2f}")
    processor = sum(watch.seconds(step) for step in ("", *steps))
    print(f"{'the case, two cores':20} {total:6.1f}  {processor:11.1f}  {watch.most_memory:7.2f}")
    shares = f"time {total / TARGET_S:.2f}, memory {watch.most_memory / TARGET_GB:.2f}"
    print(f"ratio to the target of {TARGET_S:.0f} s and {TARGET_GB:.0f} GB: {shares}")
