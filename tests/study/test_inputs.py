"""What each rule reads, for cases with and without MRI, lesion and pretraining."""

import copy
import inspect
import os
import time

import pytest

from tests.bad_input.study import CONFIG, OTHERS, ROW, write_sheet
from workflow_scripts.study import arguments, inputs
from workflow_scripts.study.inputs.naming import tracked
from workflow_scripts.study.models import export_settings
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import load_study
from workflow_scripts.study.whole_jobs import batches as batch_jobs

COHORTS = ("AISD", "APIS", "icoAIS", "CENTER-TBI")
BARE = {"mri": "", "mri_modality": "", "lesion": "", "lesion_space": "", "stripped": "", "label_standard": ""}


@pytest.fixture
def study(tmp_path):
    """Three cases with everything in each cohort, and one of icoAIS with nothing but its scan."""
    rows = [row | {"cohort": cohort} for row in (ROW, *OTHERS) for cohort in COHORTS]
    rows.append(ROW | BARE | {"cohort": "icoAIS", "case": "bare", "patient": "bare"})
    config = copy.deepcopy(CONFIG) | {
        "cases": str(write_sheet(tmp_path / "cases.tsv", *rows)),
        "outdir": "out",
        "jobs": "steps",
    }
    return load_study(config, [], check_paths=False)


@pytest.fixture
def whole(study):
    return study.labelled(["icoAIS"])[0].case


def test_every_input_function_names_the_study_and_wildcards_only():
    wildcards = {"cohort", "case", "modality", "network", "images", "pretraining", "arm", "seed", "batch"}
    stages = [getattr(inputs, stage) for stage in inputs.__all__]
    for stage in stages:
        for name, function in inspect.getmembers(stage, inspect.isfunction):
            if function.__module__ == stage.__name__ and not name.startswith("_"):
                first, *others = inspect.signature(function).parameters
                assert first == "study"
                assert set(others) <= wildcards | {"method", "member", "cases", "grid"}, name


def test_a_mask_on_the_mri_is_registered_with_it_and_one_on_the_ncct_follows_its_conversion(study, whole):
    drawn = inputs.ingest.drawn_lesion(study, "icoAIS", whole)
    case = study.case("icoAIS", whole)
    assert case.lesion_space == "mri"
    assert drawn["reference"] == f"out/ingest/icoAIS/{whole}/{case.mri_modality[0]}.nii.gz"
    assert "record" not in drawn
    assert inputs.preprocess.lesion(study, "icoAIS", whole)["affine"].endswith("mri_to_ncct.txt")


def test_a_case_without_mri_or_lesion_is_described_without_them(study, whole):
    assert {"mri", "registration_json", "lesion"} <= inputs.preprocess.to_describe(study, "icoAIS", whole).keys()
    assert not {"mri", "registration_json", "lesion"} & inputs.preprocess.to_describe(study, "icoAIS", "bare").keys()


@pytest.mark.parametrize(
    ("function", "wildcards", "message"),
    [
        (inputs.ingest.mri, {"cohort": "icoAIS", "case": "bare", "modality": "dwi"}, "icoAIS/bare has no dwi"),
        (inputs.ingest.drawn_lesion, {"cohort": "icoAIS", "case": "bare"}, "icoAIS/bare has no lesion mask"),
        (inputs.ingest.drawn_brain, {"cohort": "icoAIS", "case": "bare"}, "icoAIS/bare has no brain mask"),
        (inputs.preprocess.mri_to_register, {"cohort": "icoAIS", "case": "bare"}, "icoAIS/bare has no MRI"),
        (inputs.ingest.ncct, {"cohort": "icoAIS", "case": "none"}, "no included case icoAIS/none"),
        (inputs.finetune.training, {"arm": "none", "seed": "0"}, "'none' is not an entry of arms"),
        (inputs.pretrain.pretrain, {"pretraining": "none"}, "'none' is not an entry of pretrainings"),
        (inputs.pretrain.images_of_set, {"images": "none-D"}, "'none' is not an entry of image_sets"),
    ],
)
def test_what_the_study_does_not_have_is_named(study, function, wildcards, message):
    with pytest.raises(StudyError, match=message):
        function(study, **wildcards)


def test_an_mri_that_came_stripped_needs_no_method_and_no_weights(study, whole):
    modality = study.case("icoAIS", whole).stripped[0]
    assert inputs.preprocess.mri_stripping(study, "icoAIS", whole, modality) == "none"
    assert inputs.preprocess.mri_to_strip(study, "icoAIS", whole, modality).keys() == {"mri"}


def test_a_case_with_a_brain_mask_is_not_stripped_and_another_is(tmp_path):
    rows = [row | {"cohort": cohort} for row in (ROW, *OTHERS) for cohort in COHORTS]
    rows[2] |= {"brain_mask": "C1/brain.nii.gz"}
    config = copy.deepcopy(CONFIG) | {"cases": str(write_sheet(tmp_path / "cases.tsv", *rows)), "outdir": "out"}
    study = load_study(config, [], check_paths=False)
    given, other = (inputs.preprocess.to_strip(study, cohort, ROW["case"]) for cohort in ("icoAIS", "AISD"))
    assert given["given"] == f"out/ingest/icoAIS/{ROW['case']}/brain.nii.gz"
    assert set(given) == {"ncct", "given"}
    assert set(other) == {"ncct", "synthsr_weights", "synthstrip_weights"}
    assert inputs.ingest.drawn_brain(study, "icoAIS", ROW["case"])["brain"] == [str(tmp_path / "C1/brain.nii.gz")]


def test_the_papers_stripping_reads_both_networks(study):
    assert list(inputs.preprocess.weights_of(study, "synthsr+synthstrip")) == ["synthsr_weights", "synthstrip_weights"]
    assert inputs.preprocess.weights_of(study, "deepbet") == {}


def test_an_arm_reads_its_labelled_cases_and_the_plans_of_its_pretraining(study):
    pretrained, scratch = (inputs.finetune.dataset(study, arm) for arm in ("ALL-STKi-SA", "FS-STKi"))
    assert pretrained["images"] == scratch["images"]
    assert not any("/bare/" in path for path in scratch["images"])
    assert pretrained["base_plans"] == "out/pretrain/datasets/ALL/plans.json"
    assert scratch.keys() == {"splits", "images"}
    assert "encoder" not in inputs.finetune.training(study, "FS-STKi", "0")


def test_arrays_of_two_channels_lie_apart_and_hold_both(study):
    assert inputs.pretrain.pretraining_images(study, "ALL-D") == "out/pretrain/datasets/ALL-D"
    one, two = inputs.pretrain.images_of_set(study, "ALL"), inputs.pretrain.images_of_set(study, "ALL-D")
    assert {path for path in two if path.endswith("difference.nii.gz")} == set(two) - set(one)


def test_a_pretraining_reads_the_weights_that_it_is_to_begin_from(study, tmp_path):
    entry = study.config["pretrainings"]["ALL-SA"]
    assert inputs.pretrain.pretrain(study, "ALL-SA")["initial"] == []
    assert arguments.initial_weights(study, "ALL-SA") == []
    entry["initial_weights"] = str(tmp_path / "absent.pt")
    with pytest.raises(StudyError, match=r"pretrainings\.ALL-SA\.initial_weights: '.*absent\.pt' is not a file"):
        load_study(study.config, [], check_paths=False)
    entry["initial_weights"] = made = "out/pretrain/STKn/encoder.pt"
    again = load_study(study.config, [], check_paths=False)
    assert inputs.pretrain.pretrain(again, "ALL-SA")["initial"] == [made]
    assert arguments.initial_weights(again, "ALL-SA") == ["--initial-weights", made]


def test_scores_read_each_seeds_and_each_ensembles_mask(study, whole):
    read, cases = inputs.evaluate.score(study, "FS-STKi"), (whole, "C2", "C3")
    assert read["seeds"] == [
        f"out/segment/FS-STKi/seed-{s}/icoAIS/{case}.nii.gz" for s in study.seeds for case in cases
    ]
    assert read["ensembles"] == [f"out/segment/FS-STKi/ensemble/icoAIS/{case}.nii.gz" for case in cases]


def test_a_case_is_segmented_from_its_own_images_alone(study, whole):
    assert inputs.segment.images_to_segment(study, "FS-STKi-D", "icoAIS", whole) == [
        f"out/preprocess/icoAIS/{whole}/{name}.nii.gz" for name in ("ncct", "difference")
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_every_case_of_a_cohort_is_in_one_batch_of_at_most_the_size(study, size):
    study.config["segment"]["batch_size"] = size
    cases = arguments.cohort_cases(study, "icoAIS")
    batches = {frozenset([case, *arguments.batch(study, "icoAIS", case)]) for case in cases}
    assert sorted(len(batch) for batch in batches) == {1: [1] * 4, 2: [2, 2], 3: [1, 3], 20: [4]}[size]
    assert frozenset().union(*batches) == set(cases)


def test_the_size_of_batches_is_no_setting_of_a_result(study):
    told = [arguments.report_settings(study), export_settings(study, "FS-STKi")]
    study.config["segment"]["batch_size"] = 7
    assert [arguments.report_settings(study), export_settings(study, "FS-STKi")] == told


def test_later_stages_wait_for_the_records_of_whole_jobs_and_read_the_same_masks(study, whole):
    config = copy.deepcopy(dict(study.config)) | {"jobs": "cases"}
    config["segment"]["batch_size"] = 2
    joined = load_study(config, [], check_paths=False)
    read = inputs.evaluate.score(joined, "FS-STKi")
    assert read["references"] == [f"out/preprocess/icoAIS/{case}/files.json" for case in (whole, "C2", "C3")]
    batches = [f"out/segment/FS-STKi/batches/icoAIS/{number}.json" for number in (0, 1)]
    assert set(read["seeds"]) == set(read["ensembles"]) == set(read["acquired"]) == set(batches)
    made = [file for number in "01" for file in batch_jobs.files(joined, "FS-STKi", "icoAIS", number)]
    asked = inputs.evaluate.score(study, "FS-STKi")
    assert {*asked["seeds"], *asked["ensembles"], *asked["acquired"]} < set(made) and len(made) == len(set(made))
    assert arguments.segmentation_page(joined, "icoAIS", whole) == arguments.segmentation_page(study, "icoAIS", whole)


def test_a_page_of_segmentations_pairs_each_best_arm_with_its_own_mask(study, whole):
    words = arguments.segmentation_page(study, "icoAIS", whole)
    pairs = [words[i + 1 : i + 3] for i, word in enumerate(words) if word == "--segmentation"]
    assert [arm for arm, _ in pairs] == study.config["report"]["best_arms"]
    assert all(path == f"out/segment/{arm}/ensemble/icoAIS/{whole}.nii.gz" for arm, path in pairs)


def test_a_file_from_tomorrow_is_read_and_not_watched(tmp_path):
    """Snakemake refuses what is made of a file that is newer, and a scan keeps its time for good."""
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    assert tracked(str(scan)) == [str(scan)]
    os.utime(scan, (time.time() + 86_400,) * 2)
    assert tracked(str(scan)) == []
