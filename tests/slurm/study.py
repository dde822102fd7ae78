"""A reduced study for the cluster: four phantoms as a user would have scans, no rule makes them."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow import DEMO, ROOT

SPLITS = {"I01": "train", "I02": "validation", "I03": "test", "C01": "train"}
BROKEN = "I09"
EPOCHS = 12  # more than two minutes of one thread, also on a fast machine
STUDY = {  # over the demo's
    "cases": "cases.tsv",
    "cases_root": "scans",
    "outdir": "results",
    "jobs": "cases",
    "device": "cpu",  # the GPUs of the cluster are device files
    "run": {"arms": ["FS-STKi", "ALL-STKi"], "seeds": [0, 1, 2], "segment": ["icoAIS"], "evaluate": ["icoAIS"]},
    "image_sets": {"ALL": ["icoAIS", "CENTER-TBI"]},
    "arms": {name: {"train": ["icoAIS"], "epochs": 1, "labels": []} for name in ("FS-STKi", "ALL-STKi")},
    "pretrain": {
        "epochs": EPOCHS,
        "samples_per_epoch": 1280,
        "batch_size": 16,
        "validation_samples": 16,
        "rankme_samples": 16,
    },
    "probe": {"attributes": []},
    "finetune": {"iterations_per_epoch": 2, "validation_iterations": 1},
    "evaluate": {
        "bootstrap": 100,
        "test_arms": ["FS-STKi", "ALL-STKi"],
        "comparisons": {"main": [["FS-STKi", "ALL-STKi"]]},
    },
    "report": {"best_arms": ["FS-STKi", "ALL-STKi"], "interpreted": []},
    "resources": {
        "pretrain": {"threads": 1, "mem_mb": 1500, "gpu": 1},
        "finetune": {"threads": 1, "mem_mb": 1500, "gpu": 1},
        "segment": {"threads": 1, "mem_mb": 1500, "gpu": 1},
        "preprocess": {"mem_mb": 1000},
        "skull_stripping": {"threads": 1, "mem_mb": 1000},
        "case": {"threads": 1, "mem_mb": 1500},
        "dataset": {"threads": 1, "mem_mb": 1500},
    },
}


def write_study(folder: Path, broken: bool = True) -> None:
    """Write scans, case sheet and configuration into ``folder``; the case `BROKEN` is an empty folder."""
    header, *rows = (DEMO / "cases.tsv").read_text().splitlines()
    columns = header.split("\t")
    lines = [header]
    for row in rows:
        cells = dict(zip(columns, row.split("\t"), strict=True))
        case = cells["case"]
        if case in SPLITS:
            scan(folder / "scans" / cells["cohort"] / case, cells["cohort"], case)
            one_mri = {name: cells[name].split(";")[0] for name in ("mri", "mri_modality", "stripped")}
            lines.append("\t".join({**cells, **one_mri, "split": SPLITS[case], "exclude": ""}.values()))
        elif case == BROKEN and broken:
            (folder / "scans" / BROKEN).mkdir()
            lines.append(
                "\t".join(
                    {
                        **dict.fromkeys(columns, ""),
                        "cohort": "icoAIS",
                        "patient": case,
                        "case": case,
                        "ncct": BROKEN,
                    }.values()
                )
            )
    (folder / "cases.tsv").write_text("\n".join(lines) + "\n")
    demo = yaml.safe_load((DEMO / "study.yaml").read_text())
    del demo["phantom"]
    (folder / "study.yaml").write_text(yaml.safe_dump(merged(demo, STUDY)))


def merged(base: dict, change: dict) -> dict:
    """Return ``base`` with the values of ``change``, mappings merged as Snakemake merges configurations."""
    both = {key: merged(base[key], change[key]) for key in base.keys() & change.keys() if isinstance(base[key], dict)}
    return {**base, **change, **both}


def scan(folder: Path, cohort: str, case: str) -> None:
    """Make one phantom."""
    options = ["--cohort", cohort, "--case", case, "--seed", "2023", "--voxel-mm", "3", "--slice-mm", "5"]
    places = ["--out", str(folder), "--out-truth", str(folder.parents[2] / "truth" / cohort / case)]
    command = [sys.executable, "-m", "workflow_scripts.phantom.head", *options, *places]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def exclude_broken(folder: Path) -> None:
    """Do what the message of a broken case asks for: give a reason, and the case is used nowhere."""
    sheet = folder / "cases.tsv"
    lines = [f"{line}unreadable" if line.split("\t")[2] == BROKEN else line for line in sheet.read_text().splitlines()]
    sheet.write_text("\n".join(lines) + "\n")


def write_profile(folder: Path, **names: object) -> Path:
    """Copy the Slurm profile with some of its names filled in; return the copy's folder."""
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    assert names.keys() <= profile["__variables__"].keys()
    profile["__variables__"].update(names)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    return folder
