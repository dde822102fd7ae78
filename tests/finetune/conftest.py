from pathlib import Path

import pytest
import torch

from tests.finetune.study import dataset_options, write_study
from tests.finetune.trainings import train
from workflow_scripts.common.files import read_json
from workflow_scripts.common.nnunet.network import build_network
from workflow_scripts.common.nnunet.plans import architecture
from workflow_scripts.finetune import finetune_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("training")
    cases = write_study(root, ("train", "train", "validation"))
    finetune_dataset.main([*dataset_options(root, root / "arm"), "--cases", *(f"icoAIS/{case}" for case in cases)])
    (root / "arm" / "arrays" / ".snakemake_timestamp").touch()  # as Snakemake does in folders that are outputs
    return root / "arm"


@pytest.fixture(scope="module")
def encoder(dataset) -> dict:
    torch.manual_seed(5)
    plans = read_json(dataset / "plans.json")
    network = build_network(plans, 1, 2, deep_supervision=True)
    return {"state_dict": network.encoder.state_dict(), "architecture": architecture(plans), "channels": ["ncct"]}


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    return train(dataset, tmp_path_factory.mktemp("uninterrupted"))
