"""The examples of docs/pretraining_engine.md, as they stand there."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.pretrain.conftest import head
from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import build_network, read_encoder
from workflow_scripts.common.nnunet.network import load_encoder as fill_encoder
from workflow_scripts.common.nnunet.plans import read_plans
from workflow_scripts.pretrain.distributed import ALONE
from workflow_scripts.pretrain.encoder.adaptation_plan import to_nnunet
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder
from workflow_scripts.pretrain.engine.loop import pretrain
from workflow_scripts.pretrain.methods.method import method_of
from workflow_scripts.pretrain.views.ahead import tensors_in
from workflow_scripts.pretrain.views.batches import Purpose, Source
from workflow_scripts.pretrain.views.scans import Cohort, describe_scan

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


CLASSES = """
from workflow_scripts.pretrain.methods.desd import Distillation

class NoArguments(Agreement):
    def __init__(self):
        pass


class NoMeasure(Agreement):
    measure = None


class NoEncoder(Agreement):
    def __init__(self, *arguments):
        pass


class OneLoss(Agreement):
    def step(self, views, step):
        return super().step(views, step)[0]


class NoMonitor(Agreement):
    def inputs(self, batch):
        return {"views": batch[0].augmented()}

    def step(self, inputs, step):
        return super().step(inputs["views"], step)

    evaluate = torch.no_grad()(step)

    def measure(self, embeddings, step):
        return {}


class Planned(Distillation):
    pass


class OtherStrides(Distillation):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        next(layer for layer in self.encoder.modules() if isinstance(layer, nn.Conv3d)).stride = (2, 1, 1)


number = 3
"""


@pytest.fixture
def my_methods(tmp_path, monkeypatch):
    (tmp_path / "my_methods.py").write_text(METHOD + CLASSES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_methods", raising=False)


@pytest.mark.usefixtures("my_methods")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("NoArguments", "cannot be made from architecture, settings, device and processes (too many"),
        ("NoMeasure", "has no method measure"),
        ("NoEncoder", "has no attribute encoder"),
        ("number", "is no class"),
        ("OneLoss", "returned no losses of shape (N,)"),
    ],
)
def test_a_class_that_is_no_method_is_told_before_it_trains(run_rule, name, told):
    with pytest.raises(InputError, match=re.escape(told)):
        run_rule(method=f"my_methods:{name}")


@pytest.mark.usefixtures("my_methods")
def test_a_method_needs_no_monitor_and_may_take_what_it_likes(run_rule):
    folder = run_rule(method="my_methods:NoMonitor", epochs=1)
    assert (folder / "encoder.pt").exists()


@pytest.mark.usefixtures("my_methods")
@pytest.mark.parametrize(
    ("name", "claimed"), [("Planned", "PlainConvUNet"), ("OtherStrides", "my_methods:OtherStrides")]
)
def test_an_encoder_whose_weights_would_fit_claims_the_planned_network_only_where_it_computes_the_same(
    run_rule, name, claimed
):
    folder = run_rule(method=f"my_methods:{name}", epochs=1)
    named = read_encoder(folder / "encoder.pt")["architecture"]["network_class_name"]
    assert named.rpartition(".")[2] == claimed


def test_a_batch_is_kept_for_the_step_whatever_the_method_makes_of_it():
    one, two = torch.zeros(3), torch.ones(2)
    assert [id(tensor) for tensor in tensors_in({"views": one, "more": [(two, None), 3]})] == [id(one), id(two)]
    assert list(map(id, tensors_in(one))) == [id(one)]


def written_otherwise(kind):
    image, brain = head(1)
    scaled = (image * 100).round()
    given = {
        "float64": (scaled.astype(np.float64), brain),
        "int16": (scaled.astype(np.int16), brain.astype(np.uint8) * 255),
        "Fortran": (np.asfortranarray(scaled), brain.astype(float)),
        "reversed": (scaled[:, ::-1].copy()[:, ::-1], np.asfortranarray(brain)),
        "big-endian": (scaled.astype(">f4"), brain.astype(">i4")),
    }
    return describe_scan("head", "train", *given[kind]), describe_scan("head", "train", scaled, brain)


@pytest.mark.parametrize("where", ["auto", "always", "never"])
@pytest.mark.parametrize("kind", ["float64", "int16", "Fortran", "reversed", "big-endian"])
def test_arrays_of_any_type_and_order_give_the_same_views(make_settings, kind, where):
    settings = make_settings(images_on_device=where, symmetry=False)
    views = [
        next(Source([scan], settings, torch.device("cpu"), 1, ALONE).batches(Purpose.TRAINING, 0, 4))[0].plain
        for scan in written_otherwise(kind)
    ]
    assert torch.equal(*views)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_told_by_the_name_of_the_image(value):
    image, brain = head(1)
    spoilt = image.copy()
    spoilt[0, 3, 4, 5] = value
    for arrays in ((spoilt, brain), (image, brain, spoilt)):
        with pytest.raises(InputError, match="head 7: the image holds values that are no finite numbers"):
            describe_scan("head 7", "train", *arrays)


def test_arrays_of_two_channels_need_two_names(make_settings, architecture, states):
    cohort = Cohort((describe_scan("head 7", "train", *head(1, channels=2)),), {})
    with pytest.raises(InputError, match="head 7: the array has 2 channels, the settings name 1"):
        pretrain(cohort, architecture, make_settings(symmetry=False), torch.device("cpu"), 1, states)


@pytest.mark.parametrize("name", ["no_such_package:Class", "json:NoSuchClass", "unknown"])
def test_a_method_that_cannot_be_imported_is_named(name):
    with pytest.raises(InputError, match=rf"The method '{name}' cannot be imported .* PYTHONPATH"):
        method_of(name)
