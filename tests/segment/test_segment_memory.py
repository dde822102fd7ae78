"""A bound of memory is kept or refused before the start, in numbers; what was measured stays below the estimate."""

import json
from argparse import ArgumentTypeError
from math import prod

import pytest
from snakemake.cli import get_argument_parser

from workflow_scripts.common.errors import InputError
from workflow_scripts.segment.model import memory
from workflow_scripts.segment.new_patient import gigabytes
from workflow_scripts.segment.patient.workflow import command

STAGES = 6
PAPER = {  # nnU-Net's own plan for the paper's window: 30.8 million weights
    "patch_size": [96, 160, 160],
    "median_image_size_in_voxels": [160.0, 192.0, 192.0],
    "architecture": {
        "arch_kwargs": {
            "features_per_stage": [32, 64, 128, 256, 320, 320],
            "strides": [[1, 1, 1], *([[2, 2, 2]] * 4), [1, 2, 2]],
        }
    },
}
WEIGHTS = 30_785_994 * 4


def model(folder, stripping="deepbet"):
    """What of an exported model's folder the bound is checked against: three networks of the paper's size."""
    (folder / "plans.json").write_text(json.dumps({"configurations": {"3d_fullres": PAPER}}))
    (folder / "model.json").write_text(json.dumps({"seeds": [0, 1, 2]}))
    settings = {"preprocess": {"skull_stripping": {"ncct": stripping, "cross_check": "hu"}}}
    (folder / "preprocessing.json").write_text(json.dumps(settings))
    for seed in range(3):
        (folder / f"fold_{seed}").mkdir()
        with (folder / f"fold_{seed}" / "checkpoint_final.pth").open("wb") as file:
            file.truncate(WEIGHTS)
    return folder


def test_the_estimate_is_above_what_was_measured_and_below_a_fourth_more():
    """Measured: three networks, 192 x 192 x 160 voxels, docs/new_patient.md."""
    needed = memory.need(PAPER, 3 * WEIGHTS, 3, prod((192, 192, 160)))
    assert 3.88 < needed.kept < 1.25 * 3.88
    assert 2.96 < needed.returned < 1.25 * 2.96


def test_a_bound_below_the_need_is_refused_with_the_number_that_would_do(tmp_path):
    folder = model(tmp_path)
    with pytest.raises(InputError, match="networks") as refused:
        memory.require_for_model(2.0, folder, on_cpu=True)
    enough = float(str(refused.value).split("give --memory-gb ")[1].split()[0])
    memory.require_for_model(enough, folder, on_cpu=True)
    memory.require_for_model(2.0, folder, on_cpu=False)
    with pytest.raises(InputError, match="deepbet"):
        memory.require_for_model(1.0, folder, on_cpu=False)


def test_skull_stripping_that_needs_more_than_the_bound_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"synthstrip.*6\.0 GB"):
        memory.require_for_model(5.0, model(tmp_path, "synthsr+synthstrip"), on_cpu=True)


def test_a_larger_scan_needs_more(tmp_path):
    folder = model(tmp_path)
    assert memory.need_of(folder, (192, 192, 160)) == memory.need_of(folder)
    assert memory.need_of(folder, (500, 500, 500)).returned > memory.need_of(folder).returned + 5


@pytest.mark.parametrize("profile", [None, "slurm"])
def test_snakemake_is_told_the_bound_of_what_runs_at_once(tmp_path, profile):
    words = command(tmp_path, "2", profile, 3.5)
    call = get_argument_parser().parse_args(words[words.index("--snakefile") :])
    assert call.resources["mem_mb"].value == 3500
    assert call.targets == ["new_patients"]
    assert "--resources" not in command(tmp_path, "2", profile, None)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="no size"):
        gigabytes(text)
