"""Accuracy and time of the registration beside the paper's parameter map, on the same heads. Run with `make bench`."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.preprocess.pairs import Pair, make_pair, target_errors
from tests.workflow import ROOT
from workflow_scripts.common.files import read_yaml
from workflow_scripts.common.masks import dice
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import save_volume
from workflow_scripts.phantom.body.anatomy import build_anatomy
from workflow_scripts.preprocess.lesion import lesion_on_grid

PAIRS = 20
REFERENCE_EVERY = 5  # the reference takes long; these four differ in contrast and slice thickness
MOST_MEAN_MM, MOST_MM = 1.0, 2.0
LEAST_RATIO = 5.0
LARGE_ML, LEAST_DICE, MOST_VOLUME_ERROR = 10.0, 0.90, 0.05
REFERENCE = Path(__file__).with_name("paper_registration.py")


@dataclass(frozen=True)
class Result:
    """Target registration error over the brain in mm, and seconds of the clock and of the processor."""

    mean: float
    worst: float
    seconds: float
    processor: float

    def __str__(self) -> str:
        return f"{self.mean:5.2f} {self.worst:5.2f} {self.seconds:6.1f} {self.processor:6.1f}"


@dataclass(frozen=True)
class Label:
    """An infarct drawn on the MRI and brought to the NCCT: true volume, Dice, relative error of the volume.

    ``best_dice`` is what the true affine would give: drawing on slices costs as much.
    """

    millilitres: float
    dice: float
    volume_error: float
    best_dice: float

    def __str__(self) -> str:
        return f"{self.millilitres:6.1f} {self.dice:6.3f} {self.best_dice:6.3f} {100 * self.volume_error:+6.1f}"


def bench_registration(tmp_path: Path) -> None:
    anatomy = build_anatomy(1.0)
    ours, paper, labels = {}, {}, {}
    print("\nTRE over the brain in mm (mean, worst), seconds of clock and processor of a whole process on one thread;")
    print("infarct drawn on the MRI: mL, Dice on the NCCT, Dice with the true affine, error of the volume in %")
    print(f" #  {'scans':21} start | {'ours':26} | {'paper map':26} | infarct")
    for number in range(PAIRS):
        pair = make_pair(anatomy, number, share=(number + 1) / PAIRS, spacing_mm=1.0)
        images = _write(pair, tmp_path)
        affine = tmp_path / "affine.txt"
        ours[number] = _timed(pair, affine, *_our_command(images, affine))
        labels[number] = _label(pair, read_affine(affine))
        if number % REFERENCE_EVERY == 0:
            paper[number] = _timed(pair, affine, str(REFERENCE), *map(str, images), str(affine))
        start = target_errors(pair, np.eye(4)).mean()
        other = paper.get(number, "")
        print(f"{number:2}  {pair.name:21} {start:5.1f} | {ours[number]} | {other!s:26} | {labels[number]}", flush=True)
    _summarise(ours, paper, [label for label in labels.values() if label.millilitres > LARGE_ML])


def _summarise(ours: dict[int, Result], paper: dict[int, Result], large: list[Label]) -> None:
    shared = {"ours": [ours[number] for number in paper], "paper's map (reference)": list(paper.values())}
    for name, results in ({f"ours, all {len(ours)}": list(ours.values())} | shared).items():
        mean, worst = np.mean([one.mean for one in results]), max(one.worst for one in results)
        print(f"{name}: TRE mean {mean:.2f}, worst {worst:.2f} mm; {np.mean([one.processor for one in results]):.1f} s")
    ratio = sum(one.processor for one in paper.values()) / sum(ours[number].processor for number in paper)
    print(f"ratio of processor times on {len(paper)} pairs, reference to ours: {ratio:.1f} (bound {LEAST_RATIO})")
    good = [one.dice >= LEAST_DICE and abs(one.volume_error) <= MOST_VOLUME_ERROR for one in large]
    print(f"infarcts over {LARGE_ML:g} mL with Dice >= {LEAST_DICE} and volume within 5 %: {sum(good)} of {len(good)}")
    assert np.mean([one.mean for one in ours.values()]) <= MOST_MEAN_MM
    assert max(one.worst for one in ours.values()) <= MOST_MM


def _write(pair: Pair, folder: Path) -> list[Path]:
    """Write NCCT, brain mask and MRI; return their paths."""
    paths = [folder / f"{name}.nii.gz" for name in ("ncct", "brain", "mri")]
    for path, volume in zip(paths, (pair.ncct, pair.ncct.with_data(pair.brain), pair.mri), strict=True):
        save_volume(path, volume, np.uint8 if path.name.startswith("brain") else None)
    return paths


def _our_command(images: list[Path], affine: Path) -> list[str]:
    """Return the command of rule register_mri with the values of the paper's study."""
    words = ["-m", "workflow_scripts.preprocess.register_mri", "--cohort", "phantom", "--case", "pair"]
    for name, path in zip(("ncct", "brain", "mri"), images, strict=True):
        words += [f"--{name}", str(path)]
    values = read_yaml(ROOT / "config.yaml")["preprocess"]["registration"] | {"seed": 1, "threads": 1}
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return [*words, "--out-affine", str(affine), "--out-json", str(affine.with_suffix(".json"))]


def _timed(pair: Pair, affine: Path, *command: str) -> Result:
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=environment)
    seconds = time.perf_counter() - start
    assert run.returncode == 0, run.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    errors = target_errors(pair, read_affine(affine))
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Result(float(errors.mean()), float(errors.max()), seconds, processor)


def _label(pair: Pair, mri_to_ncct: np.ndarray) -> Label:
    found, best = (lesion_on_grid(pair.drawn, pair.ncct, matrix).data > 0 for matrix in (mri_to_ncct, pair.mri_to_ncct))
    true = np.count_nonzero(pair.infarct.data)
    error = np.count_nonzero(found) / true - 1
    return Label(true * pair.ncct.voxel_ml, dice(found, pair.infarct.data), error, dice(best, pair.infarct.data))
