"""The benchmark of transfer runs whole, in its small size, goes on from what it kept, and its table counts right."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.transfer import heads, results, skills, stages
from tests.benchmarks.transfer.heads import NAMES, Head, make_head
from tests.benchmarks.transfer.sizes import SMALL

PRETRAINED = ("desd_sa", "mae", "desd_masked", "pasted")


def write_heads(folder: Path) -> None:
    """In the place of phantoms, which take longer: boxes of noise with a darker box in them."""
    rng = np.random.default_rng(0)
    for group, count in {"unlabelled": SMALL.unlabelled, "pool": SMALL.pool, "test": SMALL.test}.items():
        arrays = {}
        for index in range(count):
            image = np.full((20, 28, 24), -100, np.int16)
            image[1 : -1 - index % 3, 1:-1, 1:-1] = rng.normal(35, 5, (18 - index % 3, 26, 22))
            lesion = np.zeros(image.shape, bool)
            left = 4 + 10 * (index % 2)
            lesion[6 : 8 + index % 4, 6:12, left : left + 6] = True
            head = Head((image - 10 * lesion).astype(np.int16), image[..., ::-1], image > -100, lesion)
            arrays |= {f"{name}{index}": getattr(head, name) for name in NAMES}
        np.savez_compressed(folder / f"{group}.npz", **arrays)


def test_runs_and_goes_on_from_what_it_kept(tmp_path):
    (tmp_path / "heads").mkdir()
    write_heads(tmp_path / "heads")
    run = ["--small", "--device", "cpu", "--names", *PRETRAINED, "--out", str(tmp_path)]
    command = [sys.executable, "-m", "tests.benchmarks.transfer", *run, "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True)
    table = (tmp_path / "table.md").read_text()
    names = ("scratch", "supervised", *PRETRAINED)
    assert all(f"| {budget} | {name} |" in table for budget in (1, 2) for name in names)
    rows = [line.split(" | ")[0] for line in (tmp_path / "skills.md").read_text().splitlines()[2:]]
    assert rows == [f"| {name}" for name in ("moments", "histogram", "untrained", *names[1:])]
    kept = sorted(tmp_path.rglob("*.json"))
    times = [path.stat().st_mtime_ns for path in kept]
    lost = tmp_path / "dice" / "mae-2-1.json"
    scores = lost.read_text()
    lost.unlink()
    stages.main([*run, "--workers", "0"])
    assert lost.read_text() == scores
    assert [path.stat().st_mtime_ns for path in kept if path != lost] == [
        time for path, time in zip(kept, times, strict=True) if path != lost
    ]


def test_table_tells_gains_and_what_labels_are_worth():
    rng = np.random.default_rng(0)
    patients = rng.normal(0, 0.1, (1, 100))
    scratch = {
        budget: dice + patients + rng.normal(0, 0.01, (5, 1)) for budget, dice in ((5, 0.2), (10, 0.4), (20, 0.6))
    }
    better = {budget: scratch[2 * budget] for budget in (5, 10)} | {20: scratch[20] + 0.1}
    rows = [line.split(" | ") for line in results.table({"scratch": scratch, "other": better}, 1000, 0)[2:]]
    assert [row[-1].strip(" |") for row in rows] == ["", "2.00", "", "2.00", "", "> 1.0"]
    assert all(row[3].startswith("**+0.") for row in rows if row[1] == "other")
    same = results.table({"scratch": scratch, "other": scratch}, 1000, 0)
    assert not any("**" in line for line in same)


def test_skills_know_what_features_tell():
    rng = np.random.default_rng(0)
    values = {"size": rng.normal(size=60), "side": np.where(rng.random(60) < 0.5, "low", "high")}
    noise = rng.normal(size=(60, 5))
    told = {"size": np.column_stack([noise, values["size"]]), "side": np.column_stack([noise, values["side"] == "low"])}
    rows = [line.strip("| ").split(" | ") for line in skills.table(told, values, 200, 0)[2:]]
    found = {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in rows}
    assert found["size"][0] > 0.9 > 0.3 > found["size"][1]
    assert found["side"][1] > 0.9 > 0.3 > found["side"][0]


def test_infarcts_are_as_faint_as_they_should_be_and_mirrors_lie_on_the_head(monkeypatch):
    found = []
    for contrast in (0.0, 5.0):
        monkeypatch.setattr(heads, "CONTRAST_HU", (contrast, contrast))
        found.append(make_head(2, seed=1, spacing_mm=6.0))
    darker = found[0].image.astype(float) - found[1].image
    assert 3 < darker[found[0].lesion].mean() < 6
    assert abs(darker[~found[0].lesion].mean()) < 0.1
    other = found[0].mirrored > -50
    assert 2 * (found[0].brain & other).sum() / (found[0].brain.sum() + other.sum()) > 0.9
