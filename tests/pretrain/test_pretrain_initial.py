"""A pretraining that begins from given weights."""

import io
import os

import numpy as np
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from tests.pretrain.conftest import ARCHITECTURE
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, write_tsv
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.pretrain import pretrain as pretrain_rule
from workflow_scripts.pretrain import pretrain_audit
from workflow_scripts.pretrain.encoder import export
from workflow_scripts.pretrain.encoder.checkpoint import save_encoder
from workflow_scripts.pretrain.encoder.initial import read_initial
from workflow_scripts.pretrain.methods.method import METHODS, start_from
from workflow_scripts.pretrain.methods.networks import build_encoder

CPU = torch.device("cpu")
PLANS = {
    "configurations": {"3d_fullres": {"architecture": ARCHITECTURE, "patch_size": [16, 24, 24], "spacing": [1, 1, 1]}}
}


@pytest.fixture
def encoder(tmp_path):
    torch.manual_seed(3)
    description = {"architecture": ARCHITECTURE, "plans": PLANS, "channels": ["ncct"], "patch_size": [6, 12, 12]}
    description |= {"cases": ["A/c0"], "statistics_cases": ["A/c1"]}
    save_encoder(tmp_path / "encoder.pt", build_encoder(ARCHITECTURE, 1), description)
    return tmp_path / "encoder.pt"


def exported(encoder, form):
    path = encoder.with_name(f"{form}.pth")
    export.main(["--encoder", str(encoder), "--format", form, "--out", str(path)])
    return path


def of_nnunet(encoder):
    """What nnU-Net's trainer saves: the whole network, its optimiser, scores as numpy's scalars, and the plans."""
    network = get_network_from_plans(*ARCHITECTURE.values(), 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(read_encoder(encoder)["state_dict"])
    content = {
        "network_weights": network.state_dict(),
        "optimizer_state": torch.optim.SGD(network.parameters(), 0.1).state_dict(),
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.5)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "init_args": {"plans": PLANS, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
    }
    torch.save(content, encoder.with_name("checkpoint_final.pth"))
    return encoder.with_name("checkpoint_final.pth")


@pytest.mark.parametrize(
    ("write", "cases"),
    [
        (lambda encoder: encoder, ("A/c0", "A/c1")),
        (lambda encoder: exported(encoder, "state_dict"), None),
        (lambda encoder: exported(encoder, "nnunet"), None),
        (of_nnunet, None),
    ],
    ids=["encoder.pt", "state_dict", "nnunet", "checkpoint of nnU-Net"],
)
def test_both_networks_of_a_method_begin_from_the_weights_of_a_file(encoder, make_settings, write, cases):
    initial, expected = read_initial(write(encoder), ARCHITECTURE), read_encoder(encoder)["state_dict"]
    assert initial.cases == cases
    desd, mae = (kind(ARCHITECTURE, make_settings(method=name), CPU) for name, kind in METHODS.items())
    for method, encoders in ((desd, [desd.student.encoder, desd.teacher.encoder]), (mae, [mae.network.encoder])):
        start_from(method, initial.weights)
        for each in encoders:
            assert all(torch.equal(value, expected[name]) for name, value in each.state_dict().items())


def test_every_weight_that_does_not_fit_is_named(encoder, make_settings):
    method = METHODS["desd"](ARCHITECTURE, make_settings(), CPU)
    weights = dict(read_initial(encoder, ARCHITECTURE).weights)
    first, second, third, *_ = weights
    weights[first] = weights[first][:, :0]
    weights["stem.weight"] = weights.pop(second)
    weights[third] = torch.full_like(weights[third], torch.nan)
    before = {name: value.clone() for name, value in method.student.state_dict().items()}
    with pytest.raises(InputError) as told:
        start_from(method, weights)
    for words in (
        f"{first} has shape [4, 0, 1, 3, 3], the encoder's [4, 1,",
        f"{second} is missing",
        "has no stem.weight",
        f"{third} holds values that are no finite numbers",
    ):
        assert words in str(told.value)
    assert all(torch.equal(value, before[name]) for name, value in method.student.state_dict().items())


def test_a_method_that_cannot_begin_from_weights_says_so(encoder):
    with pytest.raises(InputError, match="SimpleNamespace has no method start_from"):
        start_from(type("SimpleNamespace", (), {})(), read_initial(encoder, ARCHITECTURE).weights)


@pytest.mark.parametrize("write", [lambda e: e, lambda e: exported(e, "nnunet"), of_nnunet])
def test_a_network_of_other_strides_is_refused_though_its_weights_would_fit(encoder, write):
    other = ARCHITECTURE["arch_kwargs"] | {"strides": [[1, 1, 1], [1, 2, 2], [1, 2, 2]]}
    with pytest.raises(InputError, match=r"trained with strides .*\[2, 2, 2\]\], the plans have"):
        read_initial(write(encoder), ARCHITECTURE | {"arch_kwargs": other})


class Runs:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def pickled(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [pickled({"state_dict": {}, "other": Runs()}), b"no zip", b"", pickled([1]), pickled({"a": "words"}), pickled({})],
)
def test_what_holds_no_weights_is_refused_and_nothing_in_it_runs(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth (cannot be read|holds no weights).*nnU-Net"):
        read_initial(tmp_path / "weights.pth", ARCHITECTURE)
    assert not (tmp_path / "executed").exists()


def test_the_rule_begins_there_and_says_what_the_weights_had_seen(command_line, make_dataset, encoder, tmp_path):
    dataset = make_dataset(folder="images")
    folder, options = command_line("begun", dataset=dataset, epochs=1)
    pretrain_rule.main([*options, "--initial-weights", str(encoder)])
    fresh, others = command_line("fresh", dataset=dataset, epochs=1)
    pretrain_rule.main(others)
    begun, expected = read_encoder(folder / "encoder.pt"), read_encoder(encoder)["state_dict"]
    distances = [
        sum(
            float(torch.dist(value, expected[name]))
            for name, value in read_encoder(path / "encoder.pt")["state_dict"].items()
        )
        for path in (folder, fresh)
    ]
    assert distances[0] < distances[1] / 5, "a teacher moves little in four steps"
    assert begun["initial_weights"]["cases"] == ["A/c0", "A/c1"]
    assert "Began from | encoder.pt" in (folder / "model_card.md").read_text()
    assert "Began from | random" in (fresh / "model_card.md").read_text()

    def audited(moved=()):
        rows = [row | {"patient": row["case"]} for row in read_tsv(dataset / "cases.tsv")]
        rows = [row | ({"split": "test"} if row["case"] in moved else {}) for row in rows]
        write_tsv(tmp_path / "splits.tsv", rows, ("cohort", "patient", "case", "split"))
        given = {"encoder": folder / "encoder.pt", "fingerprint": dataset / "fingerprint.json"}
        given |= {"splits": tmp_path / "splits.tsv", "out": tmp_path / "audit.json"}
        pretrain_audit.main([word for key, value in given.items() for word in (f"--{key}", str(value))])
        return read_json(tmp_path / "audit.json")

    assert audited()["initial_weights"] == {"cases": 2, "patients": 2}
    with pytest.raises(InputError, match=r"A/c1 \(initial_weights: patient c1 is in test\)"):
        audited(moved=["c1"])

    save_encoder(encoder, build_encoder(ARCHITECTURE, 1), {"architecture": ARCHITECTURE, "channels": ["ncct"]})
    with pytest.raises(InputError, match=r"initial weights was .*, is now"):
        pretrain_rule.main([*options, "--initial-weights", str(encoder)])
