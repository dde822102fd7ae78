import pytest
import torch

from workflow_scripts.common import device
from workflow_scripts.common.errors import InputError


def test_a_job_computes_on_what_it_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_device(1).type == "cuda" and device.choose_device(0).type == "cpu"


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
