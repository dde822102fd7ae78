"""A pretraining names the file that it cannot use, whatever is wrong with it, and begins nothing."""

from pathlib import Path

import pytest
import torch

from tests.damage import DAMAGES, cut, flip, other
from tests.pretrain.conftest import ARCHITECTURE
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.arrays import write_array
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder, save_encoder
from workflow_scripts.pretrain.encoder.initial import read_initial
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.views.scans import WHOLE, StoredArray

FILES = ("settings.yaml", "dataset/plans.json", "dataset/fingerprint.json", "dataset/cases.tsv")
ARRAYS = ("arrays/A__c3.b2nd", "arrays/A__c3_seg.b2nd", "companions/A__c3.b2nd")


def refused(command_line, monkeypatch, name: str, damage) -> None:
    monkeypatch.setattr(pretrain_rule, "pretrain", lambda *_: pytest.fail("trained"))
    folder, options = command_line()
    damage(folder / name if name == "settings.yaml" else folder.parent / name)
    with pytest.raises(InputError, match=Path(name).name.replace(".", r"\.").replace("settings\\.yaml", "settings")):
        pretrain_rule.main(options)
    assert not (folder / "state").exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(command_line, monkeypatch, name, damage):
    refused(command_line, monkeypatch, name, damage)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("damage", [cut, other])
def test_a_damaged_array_is_named(command_line, monkeypatch, name, damage):
    refused(command_line, monkeypatch, f"dataset/{name}", damage)


def test_one_changed_bit_of_an_image_is_seen(command_line, monkeypatch, tmp_path):
    path = tmp_path / "dataset" / ARRAYS[0]
    values = StoredArray(path, ())[WHOLE]
    path.unlink()
    write_array(path, values, [16, 24, 24])
    refused(command_line, monkeypatch, f"dataset/{ARRAYS[0]}", flip)


@pytest.mark.parametrize("damage", [*DAMAGES, flip])
@pytest.mark.parametrize("read", [read_encoder, load_encoder, lambda path: read_initial(path, ARCHITECTURE)])
def test_a_damaged_encoder_is_named_by_all_that_read_one(tmp_path, read, damage):
    path = tmp_path / "encoder.pt"
    save_encoder(path, build_encoder(ARCHITECTURE, 1), {"architecture": ARCHITECTURE, "channels": ["ncct"]})
    read(path)
    damage(path)
    with pytest.raises(InputError, match=r"encoder\.pt cannot be read: it is damaged, or .*Remedy: give"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": [1]},
        {"network_weights": {1: torch.zeros(1)}},
        {"state_dict": {"a": torch.zeros(1)}, "architecture": {}},
        {"network_weights": {"a": torch.zeros(1)}, "nnssl_adaptation_plan": {}},
        {"network_weights": {"a": torch.zeros(1)}, "init_args": 3},
    ],
)
def test_weights_of_another_form_are_told(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"holds no weights|lacks"):
        read_initial(tmp_path / "weights.pth", ARCHITECTURE)
