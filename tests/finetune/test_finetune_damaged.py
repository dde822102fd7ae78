"""A finetuning names the file that it cannot use, whatever is wrong with it, and begins nothing."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from tests.damage import DAMAGES, flip
from tests.finetune.study import FEATURES
from tests.finetune.trainings import SETTINGS
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, write_json, write_yaml
from workflow_scripts.common.nnunet.plans import CONFIGURATION
from workflow_scripts.common.settings import to_mapping
from workflow_scripts.finetune import finetune

FILES = (
    *("settings.yaml", "encoder.pt", "arm/plans.json", "arm/dataset.json", "arm/cases.tsv"),
    *(f"arm/arrays/icoAIS__I02{end}" for end in (".b2nd", "_seg.b2nd", ".pkl")),
)
BINARY = [name for name in FILES if name.endswith((".pt", ".b2nd"))]


@pytest.fixture
def place(dataset, encoder, tmp_path, monkeypatch) -> Path:
    """A folder with all that the rule reads, whose training does nothing."""
    shutil.copytree(dataset, tmp_path / "arm")
    torch.save(encoder, tmp_path / "encoder.pt")
    write_yaml(tmp_path / "settings.yaml", to_mapping(SETTINGS))
    monkeypatch.setattr(finetune.StudyTrainer, "run_training", lambda _: pytest.fail("trained"))
    return tmp_path


def run(place: Path) -> None:
    names = {"settings": "settings.yaml", "dataset": "arm", "encoder": "encoder.pt", "state": "state"}
    names |= {"out-checkpoint": "model.pth", "out-curves": "curves.tsv"}
    options = [word for name, file in names.items() for word in (f"--{name}", str(place / file))]
    finetune.main([*options, "--seed", "1", "--number", "0"])


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in FILES for damage in DAMAGES] + [(name, flip) for name in BINARY],
)
def test_a_damaged_file_is_named(place, name, damage):
    damage(place / name)
    with pytest.raises(InputError, match=Path(name).name.replace(".", r"\.") + "[ ,.].*Remedy: "):
        run(place)
    assert not (place / "state").exists()


class Runs:
    def __reduce__(self):
        return eval, ("1 / 0",)


def test_properties_of_a_case_execute_nothing(place):
    (place / "arm" / "arrays" / "icoAIS__I02.pkl").write_bytes(pickle.dumps({"class_locations": Runs()}))
    with pytest.raises(InputError, match=r"icoAIS__I02\.pkl in .* is damaged"):
        run(place)


def another_network(plans: dict) -> None:
    plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 8, 32]


def no_network(plans: dict) -> None:
    del plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]["n_stages"]


def no_configuration(plans: dict) -> None:
    plans["configurations"] = {"2d": plans["configurations"].pop(CONFIGURATION)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_network, "was trained with features_per_stage"),
        (no_network, "No network can be built|was trained with n_stages"),
        (no_configuration, r"plans\.json has no configurations\.3d_fullres"),
    ],
)
def test_plans_of_another_kind_are_told(place, change, told):
    plans = read_json(place / "arm" / "plans.json")
    change(plans)
    write_json(place / "arm" / "plans.json", plans)
    with pytest.raises(InputError, match=told):
        run(place)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {}}, "lacks architecture, channels"),
        ({"state_dict": {}, "architecture": "ResEncL", "channels": ["ncct"]}, "no pretrained encoder"),
        ({"state_dict": [1], "architecture": {}, "channels": ["ncct"]}, "no pretrained encoder"),
    ],
)
def test_weights_without_their_network_are_told(place, content, told):
    torch.save(content, place / "encoder.pt")
    with pytest.raises(InputError, match=rf"encoder\.pt holds no pretrained encoder|{told}"):
        run(place)


def test_an_encoder_that_did_not_fit_is_forgotten_when_the_right_one_is_given(place, encoder, monkeypatch):
    first = next(iter(encoder["state_dict"]))
    wrong = {**encoder, "state_dict": {**encoder["state_dict"], first: torch.zeros(int(FEATURES[0]), 2, 3, 3, 3)}}
    torch.save(wrong, place / "encoder.pt")
    with pytest.raises(InputError, match="do not fit the network"):
        run(place)
    torch.save(encoder, place / "encoder.pt")
    monkeypatch.setattr(finetune, "train", lambda *_, **__: pytest.skip("it trains"))
    with pytest.raises(pytest.skip.Exception, match="it trains"):
        run(place)
