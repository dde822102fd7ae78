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


@pytest.mark.parametrize("name", ["no_such_package:Class", "json:NoSuchClass", "unknown"])
def test_a_method_that_cannot_be_imported_is_named(name):
    with pytest.raises(InputError, match=rf"The method '{name}' cannot be imported .* PYTHONPATH"):
        method_of(name)
