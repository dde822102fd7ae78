"""The examples of docs/pretraining_engine.md, as they stand there."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import build_network, read_encoder
from workflow_scripts.common.nnunet.network import load_encoder as fill_encoder
from workflow_scripts.common.nnunet.plans import read_plans
from workflow_scripts.pretrain.encoder.adaptation_plan import to_nnunet
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder
from workflow_scripts.pretrain.methods.method import method_of

METHOD, TRAINING = re.findall(r"```python\n(.*?)```", (ROOT / "docs/pretraining_engine.md").read_text(), re.DOTALL)


def test_a_method_of_a_package_of_ones_own_trains_an_unplanned_encoder_on_arrays(tmp_path):
    (tmp_path / "my_methods.py").write_text(METHOD)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    assert len(METHOD.splitlines()) <= 40
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    subprocess.run([sys.executable, "-c", TRAINING], cwd=tmp_path, env=environment, check=True)
    weights = torch.load(tmp_path / "encoder.pt", weights_only=True)
    assert weights["2.0.weight"].shape == (32, 16, 3, 3, 3)
    assert list((tmp_path / "state").glob("step-*.pt"))


def test_its_file_does_not_claim_the_planned_network_and_is_refused_where_that_is_needed(
    run_rule, tmp_path, monkeypatch
):
    (tmp_path / "my_methods.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    folder = run_rule(method="my_methods:Agreement", epochs=1)
    content, card = read_encoder(folder / "encoder.pt"), (folder / "model_card.md").read_text()
    assert content["architecture"]["network_class_name"] == "my_methods:Agreement"
    assert "Not a network that nnU-Net planned" in card and "PlainConvUNet" not in card
    with pytest.raises(InputError, match=r"names 'my_methods:Agreement', no part of a network"):
        load_encoder(folder / "encoder.pt")
    network = build_network(read_plans(tmp_path / "dataset" / "plans.json"), 1, 2, deep_supervision=False)
    with pytest.raises(InputError, match=r"is of the network my_methods:Agreement, the arm's network is PlainConvUNet"):
        fill_encoder(network, content["plans"], content)
    with pytest.raises(InputError, match=r"is of the network my_methods:Agreement"):
        to_nnunet(content)


@pytest.mark.parametrize("name", ["no_such_package:Class", "json:NoSuchClass", "unknown"])
def test_a_method_that_cannot_be_imported_is_named(name):
    with pytest.raises(InputError, match=rf"The method '{name}' cannot be imported .* PYTHONPATH"):
        method_of(name)
