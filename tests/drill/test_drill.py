"""A reduced drill on the cheapest steps; `make drill` is the whole one."""

from pathlib import Path

import yaml

from tests.bad_input.images import NOISY, saved
from tests.bad_input.study import write_sheet
from tests.drill.drill import Drill
from tests.drill.faults import Place
from tests.workflow import ROOT

CASES = ("C1", "C2", "C3")
KINDS = ("SIGKILL to Snakemake", "SIGKILL to a step", "full disk", "file cut off")
COMMAND = ["all_ingest", "--cores", "2", "--configfile", "study.yaml"]


def write_study(folder: Path) -> Place:
    folder.mkdir()
    for case in CASES:
        saved(NOISY)(folder / f"{case}.nii.gz")
    rows = ({"cohort": "MINE", "patient": case, "case": case, "ncct": f"{case}.nii.gz"} for case in CASES)
    write_sheet(folder / "cases.tsv", *rows)
    (folder / "study.yaml").write_text(yaml.safe_dump({"preprocess": {"keep_heads": True}}))
    return Place(folder, ROOT)


def test_a_run_that_things_happen_to_ends_like_another(tmp_path):
    undisturbed = Drill(write_study(tmp_path / "undisturbed"), tmp_path, COMMAND, seed=1).undisturbed()
    drill = Drill(write_study(tmp_path / "struck"), tmp_path, COMMAND, seed=1)
    drill.suffer(faults=len(KINDS), steps=len(CASES), kinds=KINDS)
    assert {row["fault"] for row in drill.rows} == set(KINDS)
    assert drill.finish() == undisturbed
    assert drill.left_over() == []
