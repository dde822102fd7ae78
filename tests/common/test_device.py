import argparse
from pathlib import Path

import pytest
import torch

from workflow_scripts.common import device
from workflow_scripts.common.errors import InputError
from workflow_scripts.finetune import finetune
from workflow_scripts.pretrain import pretrain, pretrain_interpret, pretrain_probe


@pytest.fixture
def card(monkeypatch):
    """Let torch see two cards of a kind, and be built for some."""

    def see(capability, built):
        cuda = {"is_available": True, "device_count": 2, "get_device_name": "card", "get_device_capability": capability}
        for name, value in (cuda | {"get_arch_list": built}).items():
            monkeypatch.setattr(torch.cuda, name, lambda value=value: value)

    return see


@pytest.mark.parametrize(
    "built", [["sm_75", "sm_80"], ["sm_86"], ["compute_70"], ["sm_75", "compute_80"], ["gfx90a"], []]
)
def test_a_job_computes_on_what_it_asked_for(card, built):
    card((8, 6), built)
    assert device.choose_device(1).type == device.choose_device(2).type == "cuda"
    assert device.choose_device(0).type == "cpu"


@pytest.mark.parametrize(
    ("capability", "built"), [((7, 0), ["sm_75", "sm_80"]), ((12, 0), ["sm_90", "sm_100"]), ((8, 0), ["compute_90"])]
)
def test_a_card_that_torch_was_not_built_for_is_told_before_the_first_step(card, capability, built):
    card(capability, built)
    with pytest.raises(InputError, match=rf"not built for the GPU \(card, compute capability {capability[0]}\.0\)"):
        device.choose_device(1)


def test_fewer_gpus_than_asked_for_are_told(card):
    card((8, 0), ["sm_80"])
    with pytest.raises(InputError, match="asked for 3 GPUs, and torch sees 2"):
        device.choose_device(3)


@pytest.mark.parametrize("rule", [pretrain, pretrain_probe, pretrain_interpret, finetune])
def test_a_job_without_its_gpu_stops_before_it_reads_anything(monkeypatch, rule):
    """Arrays of a thousand heads take minutes, and an absent one would be told first."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda *_: Absent(gpus=1, threads=1))
    with pytest.raises(InputError, match="asked for a GPU, and torch sees none"):
        rule.main([])


class Absent(argparse.Namespace):
    """Arguments that name files which are not there."""

    def __getattr__(self, name):
        return Path("absent")


def test_a_job_that_asked_for_a_gpu_does_not_train_on_a_cpu_unnoticed(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build"
    (tmp_path / "version").write_text(module)
    with pytest.raises(
        InputError, match=r"a build for CUDA 13\.0, and the NVIDIA driver .* is 550\.54\.15\..*`gpu: 0`"
    ):
        device.choose_device(1)
    (tmp_path / "version").unlink()
    with pytest.raises(InputError, match=r"driver on this machine is missing\.") as error:
        device.choose_device(1)
    assert "nvidia-smi" in str(error.value)
