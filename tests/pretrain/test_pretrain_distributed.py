import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import distributed as dist

from tests.damage import cut
from tests.pretrain import two_processes
from tests.workflow import ROOT
from workflow_scripts.common.cli import INTERRUPTED_STATUS
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import write_yaml
from workflow_scripts.common.interruption import Interrupted
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain.distributed import ALONE
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.heads import SharedBatchNorm

STEPS = 20
REFUSED = 3
PATIENCE_S = 300


def test_two_processes_reach_the_losses_of_one_with_the_same_batch(tmp_path, mapping):
    optimiser = mapping["optimiser"] | {"warmup_epochs": 10, "frozen_last_layer_epochs": 0}
    changes = {"batch_size": 16, "samples_per_epoch": 16 * STEPS, "epochs": 20, "optimiser": optimiser}
    settings = tmp_path / "settings.yaml"
    write_yaml(settings, mapping | changes)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module"]
    arguments = [str(settings), str(STEPS)]
    command = [*launch, "tests.pretrain.two_processes", *arguments, str(tmp_path / "two.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    two_processes.main(*arguments, str(tmp_path / "one.json"))
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    for method, losses in (("desd", 3), ("mae", 1)):
        assert np.shape(one[method]) == (STEPS, losses)
        # Rounding differs, and grows with the steps.
        np.testing.assert_allclose(two[method], one[method], rtol=0, atol=1e-3)
        np.testing.assert_allclose(two[method][:8], one[method][:8], rtol=0, atol=1e-4)
        assert np.ptp(one[method], axis=0).min() > 1e-2


def take_part(rank, port, run_rule, name, state, warned_at):
    """Run the rule as one of two processes; the second reads no file of images or state, and may be warned."""
    place = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(place)
    original = Distillation.step

    def step(self, views, number):
        if rank == 1 and number == warned_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, views, number)

    Distillation.step = step
    if rank == 1:
        States.load = pretrain_rule.open_cohort = None
    try:
        run_rule(name, state=state)
    except Interrupted:
        raise SystemExit(INTERRUPTED_STATUS) from None
    except InputError as error:
        raise SystemExit(REFUSED if "is damaged" in str(error) else 1) from None


def in_two_processes(*arguments):
    """Return the exit statuses of two processes of a training."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # Forked, so that they do not pay for importing torch.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=take_part, args=(rank, port, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def test_a_warning_to_one_process_ends_both_after_the_same_step_and_they_go_on(run_rule, tmp_path):
    state = tmp_path / "state"
    assert in_two_processes(run_rule, "stopped", state, 5) == [INTERRUPTED_STATUS] * 2
    assert [file.name.split("-")[1] for file in sorted(state.rglob("step-*.pt"))] == ["000000004", "000000006"]
    assert in_two_processes(run_rule, "stopped", state, None) == [0, 0]
    assert in_two_processes(run_rule, "undisturbed", tmp_path / "other", None) == [0, 0]
    ours, theirs = (tmp_path / name / "encoder.pt" for name in ("stopped", "undisturbed"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_what_the_first_process_refuses_all_refuse(run_rule, tmp_path):
    cut(tmp_path / "dataset" / "arrays" / "A__c3.b2nd")
    assert in_two_processes(run_rule, "refused", tmp_path / "state", None) == [REFUSED] * 2


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


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(("mean", "deviation"), [(1e3, 10), (1e6, 1), (1e7, 0)])
def test_a_mean_far_above_the_deviation_does_not_swallow_the_variance(mean, deviation):
    rows = (mean + deviation * torch.randn(64, 5, dtype=torch.float64)).float()
    exact = rows.double()
    expected = (exact - exact.mean(0)) / (exact.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(SharedBatchNorm(5)(rows).double(), expected, rtol=0, atol=1e-5)


def test_a_process_alone_communicates_nothing():
    values = torch.tensor([1.0, 2.0])
    assert ALONE.first and ALONE.share(5).tolist() == [0, 1, 2, 3, 4] and not ALONE.any(False)
    assert torch.equal(ALONE.sum(values), values) and torch.equal(ALONE.rows(values), values)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6])
def test_shared_batch_normalisation_survives_means_far_above_deviations(ratio):
    rows = torch.randn(64, 5) + ratio**0.5
    exact = torch.nn.BatchNorm1d(5).double()(rows.double()).float()
    torch.testing.assert_close(SharedBatchNorm(5)(rows), exact, atol=1e-3, rtol=0)


def normalise_a_half(rank, port, queue):
    """Normalise half of the rows, as one of two processes."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(address)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    rows = far_rows().chunk(2)[rank].requires_grad_()
    normalised = SharedBatchNorm(5)(rows)
    (normalised * far_weights().chunk(2)[rank]).sum().backward()
    queue.put((rank, normalised.detach().numpy(), rows.grad.numpy()))
    dist.destroy_process_group()


def far_rows():
    return torch.randn(64, 5, generator=torch.Generator().manual_seed(0)) + 1e3


def far_weights():
    return torch.randn(64, 5, generator=torch.Generator().manual_seed(1))


def test_two_processes_normalise_rows_far_from_0_as_one_would():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=normalise_a_half, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    found = sorted((queue.get(timeout=PATIENCE_S) for _ in processes), key=lambda part: part[0])
    for process in processes:
        process.join(PATIENCE_S)
    rows = far_rows().double().requires_grad_()
    exact = torch.nn.BatchNorm1d(5).double()(rows)
    (exact * far_weights()).sum().backward()
    np.testing.assert_allclose(np.concatenate([part[1] for part in found]), exact.detach(), atol=1e-3)
    np.testing.assert_allclose(np.concatenate([part[2] for part in found]), rows.grad, atol=1e-3)
