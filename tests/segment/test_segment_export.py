"""An exported model is whole, says nothing of a patient, is refused when damaged, and is stock nnU-Net's."""

import gzip
import json
import re
import shutil
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from tests.finetune.study import write_case
from tests.segment.exported import ARM, SEEDS, demo_study, export, settings_of
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.network import build_network, read_checkpoint
from workflow_scripts.common.nnunet.predict import Segmenter
from workflow_scripts.common.volume import load_volume
from workflow_scripts.segment import apply_model, run_networks
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model import networks
from workflow_scripts.segment.model.card import metrics
from workflow_scripts.segment.model.contents import MEASURES
from workflow_scripts.segment.model.reference import FLAGS
from workflow_scripts.segment.model.result import Result


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("study"))


@pytest.fixture
def copy(model, tmp_path):
    return shutil.copytree(model, tmp_path / ARM)


def test_the_folder_has_nnunets_own_layout_and_a_digest_of_every_file(model):
    manifest = layout.check_model(model)
    names = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert names == set(manifest["files"]) | {layout.MANIFEST}
    assert {"plans.json", "dataset.json", "README.md"} | {f"fold_{n}/checkpoint_final.pth" for n in range(3)} <= names
    assert manifest["seeds"] == list(SEEDS)
    assert manifest["training_scans"] == 5


def test_nothing_in_the_model_names_a_path_a_patient_a_cohort_or_a_setting_of_training(model, tmp_path):
    with zipfile.ZipFile(f"{model}.zip") as zipped:
        zipped.extractall(tmp_path)
    for path in (tmp_path / ARM).rglob("*.*"):
        content = path.read_bytes()
        for secret in (b"/home/someone", b"I01", b"I02", b"icoAIS", str(model.parents[1]).encode(), b"secret"):
            assert secret not in content, path.name


def test_no_date_and_no_identifier_of_dicom_is_in_the_model(model):
    found = re.compile(
        rb"\b(?:19|20)\d\d[-./]?[01]\d[-./]?[0-3]\d\b|\b1\.[23]\.(?:\d+\.){3,}\d+|Modality|Patient(?:ID|Name)"
    )
    for path in model.rglob("*.*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not found.findall(content if path.suffix != ".gz" else content[:352]), path.name
    with zipfile.ZipFile(f"{model}.zip") as zipped:
        assert {entry.date_time for entry in zipped.infolist()} == {layout.EARLIEST}


def test_the_card_has_licence_data_accuracy_limits_and_citation(model):
    card = (model / "README.md").read_text()
    assert "| Licence | none granted" in card
    assert "| Training scans | 5 for training" in card
    assert [line for line in card.splitlines() if line.startswith("## ")] == [
        "## Accuracy",
        "## Limits",
        "## Files",
        "## Citation",
    ]
    assert json.loads((model / layout.MANIFEST).read_text())["licence"] is None


def test_settings_of_preprocessing_are_the_studys_without_its_paths(model):
    settings, config = settings_of(model), demo_study().config
    assert settings["preprocess"]["clip_hu"] == config["preprocess"]["clip_hu"]
    assert settings["segment"] == {name: config["segment"][name] for name in ("step", "mirroring", "vote")}
    assert settings["preprocess"]["template"]["image"] is None


@pytest.mark.parametrize("name", ["fold_1/checkpoint_final.pth", "template.nii.gz", "reference.json"])
def test_a_missing_or_damaged_file_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.* damaged"):
        layout.check_model(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"lacks {name}"):
        layout.check_model(copy)


def edited(folder, name: str, **change) -> None:
    """Change entries of a JSON file of a model (None takes one away), and sign it as if it had been exported so."""
    content = json.loads((folder / name).read_text()) | change
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    manifest = json.loads((folder / layout.MANIFEST).read_text())
    manifest["files"][name] = file_digest(folder / name)
    (folder / layout.MANIFEST).write_text(json.dumps(manifest))


def test_a_file_that_is_whole_but_incomplete_is_named(model, tmp_path):
    limits = json.loads((model / "reference.json").read_text())["limits"]
    few = {name: each for name, each in limits.items() if name != "noise_hu"}
    for number, (name, change, words) in enumerate(
        (
            ("reference.json", {"limits": None}, "no 'limits'"),
            ("reference.json", {"limits": few}, "noise_hu"),
            ("reference.json", {"limits": limits | {"median_hu": [1.0, float("nan")]}}, "median_hu"),
            ("reference.json", {"features": {"mean": [1.0], "sd": [1.0]}}, "precision"),
            ("preprocessing.json", {"preprocess": None}, "no 'preprocess'"),
            ("dataset.json", {"channels": None}, "no 'channels'"),
            ("plans.json", {"configurations": {}}, "3d_fullres"),
        )
    ):
        folder = shutil.copytree(model, tmp_path / str(number))
        edited(folder, name, **change)
        with pytest.raises(InputError, match=f"{name} of the model is incomplete.*{words}"):
            layout.check_model(folder)


def test_a_model_without_the_template_of_its_images_is_refused(copy):
    manifest = json.loads((copy / layout.MANIFEST).read_text())
    (copy / "template.nii.gz").unlink()
    del manifest["files"]["template.nii.gz"]
    (copy / layout.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"lacks template\.nii\.gz"):
        layout.check_model(copy)


def test_a_scan_is_compared_by_every_number_that_a_model_must_know():
    assert set(MEASURES) == set(FLAGS) - {"feature_distance"}


def test_another_format_and_a_manifest_that_leads_outside_are_refused(copy):
    manifest = json.loads((copy / layout.MANIFEST).read_text())
    for change, message in (
        ({"format": 2}, "format 2"),
        ({"files": manifest["files"] | {"../x": "0"}}, "outside"),
        ({"files": {"plans.json": "0"}}, "does not list"),
        ({"files": []}, "no proper 'files'"),
        ({"seeds": 3}, "no proper 'seeds'"),
        ({"seeds": []}, "no proper 'seeds'"),
    ):
        (copy / layout.MANIFEST).write_text(json.dumps(manifest | change))
        with pytest.raises(InputError, match=message):
            layout.check_model(copy)


def test_a_zip_comes_back_whole_and_a_cut_one_is_refused(model, tmp_path):
    archive = tmp_path / "model.zip"
    shutil.copyfile(f"{model}.zip", archive)
    layout.unpack(archive, tmp_path / "back")
    assert layout.check_model(tmp_path / "back") == layout.check_model(model)
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(InputError, match="no whole zip"):
        layout.unpack(archive, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_a_zip_of_something_else_is_refused_by_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        zipped.writestr("photos/one.txt", "x")
    with pytest.raises(InputError, match=r"photos\.zip holds no folder of an exported model"):
        layout.unpack(tmp_path / "photos.zip", tmp_path / "in")
    assert not (tmp_path / "in").exists()


class Harmful:
    """Writes a file when it is unpickled without care."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_that_would_execute_code_is_refused_by_name_and_executes_none(copy, tmp_path):
    path = copy / "fold_1" / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "harm": Harmful(tmp_path / "harm")}, path)
    with pytest.raises(InputError, match=r"checkpoint_final\.pth cannot be read"):
        read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


def test_a_plan_that_names_another_class_than_a_networks_is_refused(model):
    plans = json.loads((model / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "subprocess.Popen"
    with pytest.raises(InputError, match=r"subprocess\.Popen"):
        build_network(plans, 1, 2, deep_supervision=False)


def test_a_zip_gives_what_its_manifest_names_and_nothing_else(model, tmp_path):
    """Whatever else lies in it: a file outside, an absolute path, what another system adds; and at any depth."""
    with zipfile.ZipFile(f"{model}.zip") as source, zipfile.ZipFile(tmp_path / "more.zip", "w") as zipped:
        for entry in source.infolist():
            zipped.writestr(f"models/{entry.filename}", source.read(entry))
        for name in (
            "models/FS-STKi/../../outside.txt",
            "/outside.txt",
            "models/FS-STKi/evil.py",
            "__MACOSX/._model.json",
        ):
            zipped.writestr(name, "x")
    layout.unpack(tmp_path / "more.zip", tmp_path / "in" / "model")
    assert layout.check_model(tmp_path / "in" / "model")["arm"] == ARM
    names = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert {
        path.relative_to(tmp_path / "in" / "model").as_posix()
        for path in (tmp_path / "in").rglob("*.*")
        if path.is_file()
    } == names
    assert not list(tmp_path.rglob("outside.txt"))


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return path


def test_zips_that_hold_no_one_model_are_refused_in_words(model, tmp_path):
    manifest = (model / "model.json").read_bytes()
    for files, words in (
        ({"a/model.json": manifest, "a/zeros": bytes(2**27)}, "would unpack to"),
        ({"FS-STKi.zip": b"PK"}, "holds another zip"),
        ({"a/model.json": manifest, "b/model.json": manifest}, "holds 2 models"),
        ({"a/model.json": manifest}, "lacks README.md"),
        ({"a/model.json": manifest.replace(b"README.md", b"../x")}, "outside the model"),
    ):
        with pytest.raises(InputError, match=words):
            layout.unpack(zip_of(tmp_path / "some.zip", files), tmp_path / "in" / "model")
        assert not (tmp_path / "in" / "model").exists()


def test_a_results_folder_of_nnunet_is_told_from_a_model(model, tmp_path):
    folder = tmp_path / "Dataset001" / "nnUNetTrainer"
    folder.mkdir(parents=True)
    shutil.copy(model / "plans.json", folder)
    for given in (folder, folder.parent):
        with pytest.raises(InputError, match="networks of nnU-Net"):
            layout.check_model(given)


def stock_predictor(model, number: int, mirroring: bool) -> nnUNetPredictor:
    """Return nnU-Net's predictor alone, loaded as its ``initialize_from_trained_model_folder`` does it.

    Not by that function: it looks its trainer class up by name in every module of nnU-Net, and where torchvision
    cannot be imported, some of them cannot either.
    """
    plans = PlansManager(json.loads((model / "plans.json").read_text()))
    dataset = json.loads((model / "dataset.json").read_text())
    saved = torch.load(model / f"fold_{number}" / "checkpoint_final.pth", map_location="cpu", weights_only=True)
    configuration = plans.get_configuration(saved["init_args"]["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        2,
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(
        use_mirroring=mirroring, device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
    )
    axes = saved["inference_allowed_mirroring_axes"]
    predictor.manual_initialization(
        network, plans, configuration, [saved["network_weights"]], dataset, saved["trainer_name"], axes
    )
    return predictor


def stock_segmentation(predictor: nnUNetPredictor, image) -> np.ndarray:
    """Segment one image (x, y, z) as nnU-Net does, with the probabilities, which ours always gives."""
    data, properties = predictor.plans_manager.image_reader_writer_class().read_images([str(image)])
    mask, _ = predictor.predict_single_npy_array(data, properties, save_or_return_probabilities=True)
    return mask.transpose(2, 1, 0)


@pytest.mark.parametrize(("number", "mirroring"), [(0, False), (1, False), (2, False), (0, True)])
def test_stock_nnunet_gives_the_same_voxels(model, tmp_path, number, mirroring):
    write_case(tmp_path, np.random.default_rng(99))
    path = layout.checkpoints(model, layout.check_model(model))[number]
    ours, _ = Segmenter(read_checkpoint(path), 0.5, mirroring, torch.device("cpu"))([tmp_path / "ncct.nii.gz"])
    theirs = stock_segmentation(stock_predictor(model, number, mirroring), tmp_path / "ncct.nii.gz")
    assert theirs.shape == load_volume(tmp_path / "ncct.nii.gz").data.shape
    assert 0 < ours.sum() < ours.size
    np.testing.assert_array_equal(ours, theirs)


def test_one_load_of_the_model_serves_a_batch_of_new_patients(model, tmp_path):
    names = ("icoAIS/I01", "icoAIS/I02")

    def results(*cases: str) -> list[Result]:
        out = tmp_path / "_".join(cases).replace("/", "-")
        images = ["--preprocess", str(model.parents[1] / "preprocess"), "--cases", *cases]
        networks_file = out / "networks.json"
        run_networks.main([*images, "--model", str(model), "--store", str(out / "store"), "--out", str(networks_file)])
        return [apply_model.result_of(networks_file, case) for case in cases]

    with mock.patch.object(networks, "Model", wraps=networks.Model) as load:
        together = results(*names)
        assert load.call_count == 1
    for one, alone in zip(together, [results(name)[0] for name in names], strict=True):
        np.testing.assert_array_equal(one.mask, alone.mask)
        np.testing.assert_array_equal(one.members, alone.members)
        np.testing.assert_array_equal(one.probability, alone.probability)
        np.testing.assert_array_equal(one.features, alone.features)


def test_the_card_tells_the_mean_and_its_interval_of_held_out_cases():
    row = {"member": "ensemble", "criterion": "all", "hd95_penalised_mm": "", "volume_difference_ml": ""}
    rows = [row | {"split": "test", "dice": str(value)} for value in (0.2, 0.4, 0.5, 0.6, 0.8)]
    rows += [row | {"split": "train", "dice": "1"}, row | {"split": "validation", "dice": "0.3"}]
    validation, test = metrics(rows)
    assert (validation["cases"], validation["low"]) == (1, None)
    assert test["mean"] == pytest.approx(0.5)
    assert test["high"] - test["mean"] == pytest.approx(2.776 * 0.2236 / 5**0.5, rel=1e-3)
