"""Datasets: nnU-Net's own statistics, from the cases that may give them, and its own arrays."""

import multiprocessing
import shutil
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import blosc2
import nibabel as nib
import numpy as np
import pytest
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from tests.finetune.study import FEATURES, SPACING, SPLITS, dataset_options, write_study
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, write_json
from workflow_scripts.common.nnunet.cases import select_cases
from workflow_scripts.common.nnunet.fingerprint import INTENSITIES, extract_fingerprint
from workflow_scripts.common.nnunet.folders import nnunet_folders
from workflow_scripts.common.nnunet.parallel import for_each
from workflow_scripts.common.nnunet.plans import CONFIGURATION, DATASET, dataset_json, with_overrides
from workflow_scripts.finetune import finetune_dataset
from workflow_scripts.pretrain import pretrain_dataset


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    cases = write_study(root)
    both = ("ncct", "difference")
    options = dataset_options(root, root / "pretrain", both)
    pretrain_dataset.main([*options, "--cohorts", "icoAIS", "--seen-splits", "train"])
    base = base_options(root / "pretrain", root / "pretrain")
    names = ["--cases", *(f"icoAIS/{case}" for case in cases)]
    finetune_dataset.main([*dataset_options(root, root / "merged", both), *names, *base])
    finetune_dataset.main([*dataset_options(root, root / "own", both), *names])
    return root


def base_options(fingerprint: Path, plans: Path) -> list[str]:
    return ["--base-fingerprint", str(fingerprint / "fingerprint.json"), "--base-plans", str(plans / "plans.json")]


def image(root: Path, case: str, name: str) -> np.ndarray:
    return np.asarray(nib.load(root / "preprocess" / "icoAIS" / case / f"{name}.nii.gz").dataobj)


def configuration(folder: Path) -> dict:
    return read_json(folder / "plans.json")["configurations"][CONFIGURATION]


def normalised(data: np.ndarray, properties: dict) -> np.ndarray:
    clipped = np.clip(data, properties["percentile_00_5"], properties["percentile_99_5"])
    return (clipped - properties["mean"]) / properties["std"]


def test_fingerprint_is_that_of_nnunets_own_extractor(study, tmp_path, monkeypatch):
    cases = select_cases(
        read_tsv(study / "splits.tsv"),
        study / "preprocess",
        "brain",
        ["ncct"],
        wanted={("icoAIS", "I01"), ("icoAIS", "I02")},
        wanted_splits={"train"},
    )
    voxels = [int(image(study, case, "brain").sum()) for case in ("I01", "I02")]
    with nnunet_folders(tmp_path, workers=1) as root:
        listed = {case.key: {"images": [str(case.images[0])], "label": str(case.label)} for case in cases}
        content = {**dataset_json(["ncct"], "brain", 2), "dataset": listed}
        write_json(root / "raw" / DATASET / "dataset.json", content)
        extractor = DatasetFingerprintExtractor(DATASET, num_processes=1)
        extractor.num_foreground_voxels_for_intensitystats = 2 * max(voxels)
        # A worker started anew would import everything again, which takes longer than all its work.
        monkeypatch.setattr(multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool))
        extractor.run()
        theirs = read_json(root / "preprocessed" / DATASET / "dataset_fingerprint.json")
    assert extract_fingerprint(cases, voxels) == theirs


def test_statistics_come_from_the_training_split_alone(study, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(study / "preprocess", other / "preprocess")
    shutil.copy(study / "splits.tsv", other / "splits.tsv")
    for row in read_tsv(study / "splits.tsv"):
        if row["split"] != "train":
            path = other / "preprocess" / "icoAIS" / row["case"] / "ncct.nii.gz"
            ncct = nib.load(path)
            nib.save(nib.Nifti1Image(ncct.get_fdata().astype(np.float32) + 40, ncct.affine), path)
    both = ("ncct", "difference")
    names = ["--cases", *(f"icoAIS/I{number:02d}" for number in range(1, 7))]
    finetune_dataset.main([*dataset_options(other, other / "own", both), *names])
    options = dataset_options(other, other / "pretrain", both)
    pretrain_dataset.main([*options, "--cohorts", "icoAIS", "--seen-splits", "train"])
    for name in ("own", "pretrain"):
        assert read_json(other / name / "fingerprint.json") == read_json(study / name / "fingerprint.json")


def test_test_cases_are_not_prepared_and_validation_cases_are(study):
    for name in ("own", "merged", "pretrain"):
        splits = {row["key"]: row["split"] for row in read_tsv(study / name / "cases.tsv")}
        assert sorted(splits.values()) == sorted(split for split in SPLITS if split != "test")
        keys = set(nnUNetDatasetBlosc2.get_identifiers(str(study / name / "arrays")))
        assert keys == set(splits)


def test_cases_of_other_cohorts_and_without_label_are_left_out(study, tmp_path):
    names = ["icoAIS/I01", "icoAIS/I04", "APIS/I02"]
    finetune_dataset.main([*dataset_options(study, tmp_path / "some"), "--cases", *names])
    assert [row["key"] for row in read_tsv(tmp_path / "some" / "cases.tsv")] == ["icoAIS__I01", "icoAIS__I04"]


def test_fingerprint_of_a_pretraining_names_the_training_cases_it_was_made_of(study):
    assert read_json(study / "pretrain" / "fingerprint.json")["cases"] == ["icoAIS/I01", "icoAIS/I02", "icoAIS/I03"]


def test_pretrainings_statistics_reach_plans_and_normalised_arrays(study):
    pretrain = read_json(study / "pretrain" / "fingerprint.json")[INTENSITIES]
    assert read_json(study / "merged" / "plans.json")[INTENSITIES] == pretrain
    assert read_json(study / "own" / "plans.json")[INTENSITIES] != pretrain
    data, *_ = nnUNetDatasetBlosc2(str(study / "merged" / "arrays")).load_case("icoAIS__I01")
    for channel, name in enumerate(("ncct", "difference")):
        expected = normalised(image(study, "I01", name).transpose(2, 1, 0), pretrain[str(channel)])
        np.testing.assert_allclose(data[channel], expected, atol=1e-4)


def test_arrays_are_in_nnunets_layout_with_the_label_beside_them(study):
    _, label, _, properties = nnUNetDatasetBlosc2(str(study / "own" / "arrays")).load_case("icoAIS__I02")
    lesion = image(study, "I02", "lesion").transpose(2, 1, 0)
    np.testing.assert_array_equal(label[0], lesion)
    assert len(properties["class_locations"][1]) == lesion.sum()


def test_companion_is_the_mirrored_image_with_its_own_difference(study):
    properties = read_json(study / "pretrain" / "fingerprint.json")[INTENSITIES]
    companion = blosc2.open(str(study / "pretrain" / "companions" / "icoAIS__I01.b2nd"))[:]
    ncct, mirrored, brain = (image(study, "I01", name).astype(float) for name in ("ncct", "mirrored", "brain"))
    expected = [mirrored, np.where(brain, ncct - mirrored, 0)]
    for channel, data in enumerate(expected):
        np.testing.assert_allclose(
            companion[channel], normalised(data.transpose(2, 1, 0), properties[str(channel)]), atol=1e-4
        )


def test_arm_takes_architecture_patch_and_batch_of_its_pretraining(study, tmp_path):
    plans = read_json(study / "pretrain" / "plans.json")
    changed = with_overrides(plans, [16, 16, 8], 3, [2, 4, 8])
    write_json(tmp_path / "plans.json", changed)
    base = base_options(study / "pretrain", tmp_path)
    options = dataset_options(study, tmp_path / "arm", ("ncct", "difference"))
    finetune_dataset.main([*options, "--cases", "icoAIS/I01", "icoAIS/I04", *base])
    theirs, ours = changed["configurations"][CONFIGURATION], configuration(tmp_path / "arm")
    for entry in ("architecture", "patch_size", "batch_size"):
        assert ours[entry] == theirs[entry]
    assert configuration(study / "own")["batch_size"] != 3


def test_planned_for_the_studys_spacing_with_3d_fullres_alone(study):
    plans = read_json(study / "own" / "plans.json")
    assert list(plans["configurations"]) == [CONFIGURATION]
    planned = configuration(study / "own")
    assert planned["spacing"] == [SPACING] * 3
    assert planned["normalization_schemes"] == ["CTNormalization"] * 2
    assert planned["architecture"]["arch_kwargs"]["features_per_stage"] == [int(width) for width in FEATURES]


def test_overridden_patch_gets_nnunets_strides_and_kernels(study):
    plans = with_overrides(read_json(study / "own" / "plans.json"), [96, 160, 160])
    network = plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]
    # nnU-Net's planner at 8 GB for heads of this shape, which is the network of the paper (Fig. 3)
    assert network["strides"] == [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
    assert network["kernel_sizes"] == [[3, 3, 3]] * 6
    assert network["n_stages"] == 6


def test_patch_that_cannot_be_halved_is_refused_with_one_that_can(study):
    with pytest.raises(InputError, match=r"give \[16, 20, 16\]"):
        with_overrides(read_json(study / "own" / "plans.json"), [15, 20, 16])


def test_one_width_a_stage_is_wanted(study):
    with pytest.raises(InputError, match="3 numbers"):
        with_overrides(read_json(study / "own" / "plans.json"), features=[4, 8])


def test_images_of_another_spacing_are_refused_by_name(study, tmp_path):
    options = dataset_options(study, tmp_path / "out")
    options[options.index("--spacing") + 1] = "5.0"
    with pytest.raises(InputError, match="icoAIS/I01"):
        finetune_dataset.main([*options, "--cases", "icoAIS/I01", "icoAIS/I04"])
    assert not (tmp_path / "out").exists()


def test_training_without_any_lesion_is_refused(tmp_path):
    write_study(tmp_path, ("train", "validation"), lesion=False)
    with pytest.raises(InputError, match="No case"):
        finetune_dataset.main([*dataset_options(tmp_path, tmp_path / "out"), "--cases", "icoAIS/I01", "icoAIS/I02"])


def test_results_do_not_depend_on_the_number_of_processes():
    arguments = [(base, 3) for base in range(4)]
    assert for_each(pow, arguments, threads=2) == for_each(pow, arguments, threads=1) == [0, 1, 8, 27]
