"""A pretraining on several nodes: what the rule starts, with a stand-in for srun that starts all tasks here."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.workflow import ROOT
from workflow_scripts.study.arguments import pretrain_launch

SRUN = """#!/bin/sh
test "$1 $2 $3 $4 $5 $6 $7" = "--overlap --nodes 2 --ntasks 2 --ntasks-per-node 1" || exit 9
shift 7
"$@" & one=$!
"$@"; two=$?
wait $one && exit $two
"""


def launch(gpu, nodes):
    return pretrain_launch(SimpleNamespace(config={"resources": {"pretrain": {"gpu": gpu, "nodes": nodes}}}))


def test_two_nodes_train_as_one_process_does(command_line, run_rule, column, tmp_path):
    folder, options = command_line("nodes", epochs=1, samples_per_epoch=8)
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    path = os.pathsep.join([str(srun.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": str(os.getpid())}
    command = ["bash", "-euc", f"exec {launch(0, 2)} {' '.join(options)}"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    alone = run_rule("alone", epochs=1, samples_per_epoch=8)
    for name in ("train_loss", "validation_loss"):
        np.testing.assert_allclose(column(folder, name), column(alone, name), rtol=0.01)


def test_several_nodes_without_slurm_are_refused_with_the_reason():
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    ended = subprocess.run(["bash", "-c", f"exec {launch(4, 2)}"], env=environment, capture_output=True, text=True)
    assert ended.returncode and "several nodes of resources.pretrain need Slurm" in ended.stderr


@pytest.mark.parametrize(("gpu", "nodes", "words"), [(0, 1, ""), (1, 1, ""), (4, 1, "--standalone --nproc-per-node 4")])
def test_torchrun_starts_only_what_is_more_than_one(gpu, nodes, words):
    assert ("torch.distributed.run" in launch(gpu, nodes)) == bool(words)
    assert words in launch(gpu, nodes) and "srun" not in launch(gpu, nodes)
