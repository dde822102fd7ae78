import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import distributed as dist

from tests.pretrain import two_ranks
from tests.workflow import ROOT
from workflow_scripts.common.files import write_yaml
from workflow_scripts.pretrain.heads import SharedBatchNorm
from workflow_scripts.pretrain.ranks import ALONE

STEPS = 20


def test_two_processes_reach_the_losses_of_one_with_the_same_batch(tmp_path, mapping):
    optimiser = mapping["optimiser"] | {"warmup_epochs": 10, "frozen_last_layer_epochs": 0}
    changes = {"batch_size": 16, "samples_per_epoch": 16 * STEPS, "epochs": 20, "optimiser": optimiser}
    settings = tmp_path / "settings.yaml"
    write_yaml(settings, mapping | changes)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module"]
    arguments = [str(settings), str(STEPS)]
    command = [*launch, "tests.pretrain.two_ranks", *arguments, str(tmp_path / "two.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    two_ranks.main(*arguments, str(tmp_path / "one.json"))
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    for method, losses in (("desd", 3), ("mae", 1)):
        assert np.shape(one[method]) == (STEPS, losses)
        np.testing.assert_allclose(two[method], one[method], rtol=0, atol=1e-4)
        assert np.ptp(one[method], axis=0).min() > 1e-2


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_shared_batch_normalisation_equals_torchs_own():
    ours, theirs = SharedBatchNorm(5), torch.nn.BatchNorm1d(5)
    rows = [(torch.randn(8, 5) * 3 + 2).requires_grad_() for _ in range(2)]
    rows[1].data.copy_(rows[0])
    weights = torch.randn(8, 5)
    for norm, values in zip((ours, theirs), rows, strict=True):
        (norm(values) * weights).sum().backward()
    torch.testing.assert_close(rows[0].grad, rows[1].grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name])


def test_a_process_alone_communicates_nothing():
    values = torch.tensor([1.0, 2.0])
    assert ALONE.first and ALONE.share(5).tolist() == [0, 1, 2, 3, 4] and not ALONE.any(False)
    assert torch.equal(ALONE.sum(values), values) and torch.equal(ALONE.rows(values), values)
