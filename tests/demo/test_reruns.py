"""What a change makes run again: the table in docs/usage.md, row by row, as dry runs over a finished study."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.workflow import job_counts

CASE = {"ingest_ncct", "resample_ncct", "brain_mask", "contralateral", "finalise", "describe_case"}
DATASETS = {"pretrain_dataset", "finetune_dataset"}
MASKS = {"segment", "ensemble"}
SEGMENTED = 6  # cases of icoAIS in the reduced demo (conftest.py)
RESULTS = {"score", "summarise", "table", "figure_dice", "index"}


@contextlib.contextmanager
def changed(path: Path, old: str, new: str) -> Iterator[None]:
    """Replace the first occurrence of a text in a file; afterwards the file is what it was, time stamp included."""
    content, status = path.read_text(), path.stat()
    assert old in content, f"{old!r} does not stand in {path.name}"
    try:
        path.write_text(content.replace(old, new, 1))
        yield
    finally:
        path.write_text(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def planned(demo, *arguments: str, config: Path | None = None) -> Mapping[str, int]:
    """Return the jobs of a dry run; an empty mapping where there is nothing to do."""
    output = demo.snakemake("-n", *arguments, config=config)
    jobs = job_counts(output)
    assert ("Nothing to be done" in output) != bool(jobs), output[-3000:]
    return jobs


def with_config(demo, folder: Path, change: dict) -> Mapping[str, int]:
    (folder / "change.yaml").write_text(yaml.safe_dump(change))
    return planned(demo, config=folder / "change.yaml")


def test_a_scan_reruns_its_case_and_all_that_learns_from_it_or_counts_it(demo):
    scan = demo.results / "phantom" / "CENTER-TBI" / "C01" / "ncct.nii.gz"
    before, content = scan.stat(), scan.read_bytes()
    try:
        # Snakemake compares the content of small files: a new time stamp alone changes nothing.
        scan.write_bytes(content + b"changed")
        jobs = planned(demo)
    finally:
        scan.write_bytes(content)
        os.utime(scan, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert {rule: jobs[rule] for rule in CASE} == dict.fromkeys(CASE, 1)
    assert {"split", "pretrain", "finetune", "index"} | DATASETS | MASKS | RESULTS <= set(jobs)
    assert not any(rule.startswith("phantom") for rule in jobs)


def test_an_exclusion_reruns_no_case(demo):
    row = next(line for line in (demo.directory / "cases.tsv").read_text().splitlines() if "\tA02\tA02\t" in line)
    with changed(demo.directory / "cases.tsv", row, f"{row}no longer wanted"):
        jobs = planned(demo)
    assert not CASE & set(jobs)
    assert {"split", "index"} | DATASETS | MASKS | RESULTS <= set(jobs)


def test_an_augmentation_value_reruns_pretrainings_and_their_arms(demo, tmp_path):
    jobs = with_config(demo, tmp_path, {"pretrain": {"augmentation": {"blur": {"probability": 0.5}}}})
    assert jobs["pretrain"] == jobs["pretrain_settings"] == 2
    assert jobs["finetune"] == 2, "the arm from scratch stays"
    assert jobs["segment"] == 2 * SEGMENTED
    assert set(jobs) >= RESULTS
    assert not (CASE | DATASETS | {"split", "finetune_settings"}) & set(jobs)


def test_more_seeds_train_these_seeds_only(demo, tmp_path):
    jobs = with_config(demo, tmp_path, {"run": {"seeds": [0, 1, 2]}})
    assert jobs["finetune"] == 3 * 2
    assert jobs["segment"] == 3 * 2 * SEGMENTED
    assert jobs["ensemble"] == 3 * SEGMENTED
    assert not (CASE | DATASETS | {"split", "pretrain"}) & set(jobs)


def test_one_more_arm_trains_this_arm_only(demo, tmp_path):
    arms = ["FS-STKp", "ALL-STKi-SA", "ALL-STKi-D", "FS-STKi"]
    jobs = with_config(demo, tmp_path, {"run": {"arms": arms}, "arms": {"FS-STKi": {"labels": []}}})
    assert {rule: jobs[rule] for rule in ("finetune", "finetune_dataset", "score")} == dict.fromkeys(
        ("finetune", "finetune_dataset", "score"), 1
    )
    assert jobs["segment"] == jobs["ensemble"] == SEGMENTED
    assert not (CASE | {"split", "pretrain", "pretrain_dataset"}) & set(jobs)


def test_a_case_whose_mask_is_gone_is_segmented_alone(demo):
    mask = demo.results / "segment" / "FS-STKp" / "seed-0" / "icoAIS" / "I02.nii.gz"
    kept = mask.rename(mask.with_name("kept"))
    try:
        jobs = planned(demo, str(mask.relative_to(demo.directory)))
    finally:
        kept.rename(mask)
    assert jobs == {"segment": 1, "total": 1}


def test_the_size_of_batches_reruns_nothing(demo, tmp_path):
    assert with_config(demo, tmp_path, {"segment": {"batch_size": 1}}) == {}


def test_a_metric_reruns_scores_and_report(demo):
    with changed(
        demo.workflow / "workflow_scripts/evaluate/measures/surface_distance.py", "def ", "ADDED = 1\n\n\ndef "
    ):
        jobs = planned(demo)
    assert jobs["score"] == 3
    assert set(jobs) >= RESULTS
    assert not (CASE | DATASETS | MASKS | {"split", "pretrain", "finetune"}) & set(jobs)


def test_a_style_reruns_figures(demo):
    with changed(demo.workflow / "workflow_scripts/report/drawing/style.py", "", "ADDED = 1\n"):
        jobs = planned(demo)
    assert {"figure_dice", "figure_cohort", "index"} <= set(jobs)
    pages = ("figure", "index", "segmentation_page")
    assert set(jobs) - {"total", "all"} <= {rule for rule in jobs if rule.startswith(pages)}


@pytest.mark.parametrize(
    "file",
    [
        "workflow_scripts/common/volume.py",
        "workflow_scripts/pretrain/methods/loss.py",
        "workflow_scripts/report/pages/page.py",
    ],
)
def test_a_comment_reruns_nothing(demo, file):
    with changed(demo.workflow / file, "\n\n\ndef ", "\n\n\n# A comment.\ndef "):
        assert planned(demo) == {}


@pytest.mark.parametrize("file", ["rules/pretrain.smk", "rules/finetune.smk"])
def test_the_layout_of_a_rule_reruns_nothing(demo, file):
    with changed(demo.workflow / file, '"exec ', '"exec  '):
        assert planned(demo) == {}


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_other_code_of_a_training_is_reported_and_retrains_nothing(demo, stage):
    module = {"pretrain": "pretrain/methods/loss.py", "finetune": "finetune/training/trainer.py"}[stage]
    with changed(demo.workflow / "workflow_scripts" / module, "def ", "ADDED = 1\n\n\ndef "):
        output = demo.snakemake("-n")
    assert f"Code of {stage} has changed since these were trained" in output
    assert "Nothing to be done" in output


def test_one_switch_trains_anew(demo):
    jobs = planned(demo, "--forcerun", "finetune", "--config", "retrain=true")
    assert jobs["finetune"] == 3 + 1, "and one on fewer labels"
    assert "pretrain" not in jobs
    assert planned(demo, "--config", "retrain=true") == {}, "the switch alone starts nothing"


def test_a_changed_training_is_refused_until_the_switch_is_given(demo, tmp_path):
    target = "results/demo/finetune/FS-STKp/seed-0/checkpoint.pth"
    trained = (demo.directory / target).read_bytes()
    (tmp_path / "change.yaml").write_text(yaml.safe_dump({"finetune": {"momentum": 0.8}}))
    refused = demo.snakemake(target, check=False, config=tmp_path / "change.yaml")
    assert "settings.momentum was 0.9, is now 0.8" in refused
    assert "retrain=true" in refused
    assert not (demo.directory / target).exists()
    demo.snakemake()
    assert (demo.directory / target).read_bytes() == trained, "with the settings of before it comes back"
    assert planned(demo) == {}


@pytest.mark.parametrize(
    ("arguments", "present", "absent"),
    [
        (["cohort_AISD", "--forcerun", "brain_mask"], {"brain_mask"}, {"split"}),
        (["arm_FS-STKp", "--forcerun", "finetune"], {"finetune", "score"}, {"pretrain", "summarise"}),
        (["--until", "split", "--forcerun", "split"], {"split"}, {"finetune"}),
        (["--omit-from", "finetune", "--forcerun", "split"], {"split", "finetune_dataset"}, {"finetune", "index"}),
        (
            ["results/demo/preprocess/AISD/A01/case.json", "--forcerun", "describe_case"],
            {"describe_case"},
            {"brain_mask"},
        ),
        (["--touch"], set(), set()),
    ],
)
def test_recipes(demo, arguments, present, absent):
    jobs = set(planned(demo, *arguments))
    assert present <= jobs
    assert not absent & jobs
