"""What a user of the cluster is promised, asked of Slurm's accounting and of the results."""

import re

import pytest

from tests.slurm.conftest import Runs, rule_of
from tests.slurm.study import BROKEN, EPOCHS, SPLITS
from workflow_scripts.common.files import read_tsv

GPU_RULES = {"pretrain", "finetune", "segment_batch"}


def failed_trainings(runs: Runs) -> list[str]:
    """Return the log of each pretraining of the whole study that failed, as Snakemake showed it."""
    return re.findall(r"^Logfile \S+/pretrain/ALL\.log:\n=+\n(.*?)^=+$", runs.outputs["whole study"], re.M | re.S)


def of_rule(jobs: list[dict[str, str]], rule: str) -> list[dict[str, str]]:
    return [job for job in jobs if rule_of(job) == rule]


def test_a_case_is_one_job(runs):
    cases = of_rule(runs.jobs["broken case"], "preprocess_case")
    assert [job["State"] for job in cases].count("COMPLETED") == len(SPLITS)
    assert not [job for job in runs.jobs["broken case"] if rule_of(job) not in ("preprocess_case", "template")]


def test_a_broken_case_takes_only_its_own_chain_down(runs):
    preprocessed = runs.folder / "results" / "preprocess"
    assert all(list(preprocessed.glob(f"*/{case}/case.json")) for case in SPLITS)
    assert not list((runs.folder / "results" / "ingest" / "icoAIS" / BROKEN).glob("*"))
    log = (runs.folder / "results" / "logs" / "ingest" / "ingest_ncct" / "icoAIS" / f"{BROKEN}.log").read_text()
    assert f"Case icoAIS/{BROKEN}:" in log and "Remedy:" in log


def test_a_broken_case_is_submitted_once(runs):
    assert [job["State"] for job in runs.jobs["broken case"]].count("FAILED") == 1


def test_requested_memory_grows_on_retry(runs):
    first, second, *_ = (float(job["ReqMem"].rstrip("M")) for job in of_rule(runs.jobs["whole study"], "pretrain"))
    assert second == 2 * first


def test_gpu_jobs_get_a_gpu_and_the_others_none(runs):
    jobs = [job for run in runs.jobs.values() for job in run if job["State"] == "COMPLETED"]
    assert {rule_of(job) for job in jobs} >= GPU_RULES | {"preprocess_case", "split", "score"}
    for job in jobs:
        wanted = rule_of(job) in GPU_RULES
        assert ("gres/gpu=1" in job["AllocTRES"]) == wanted, job
        assert job["Partition"] == ("gpu" if wanted else "cpu"), job


def test_two_gpu_jobs_run_at_once_and_a_third_waits(runs):
    jobs = [job for job in runs.jobs["whole study"] if job["Partition"] == "gpu" and job["Start"] != "Unknown"]
    at_once = {job["JobID"]: [one for one in jobs if one["Start"] <= job["Start"] < one["End"]] for job in jobs}
    assert max(len(running) for running in at_once.values()) == 2
    assert [
        waiting["JobID"]
        for waiting in jobs
        for moment in jobs
        if waiting["Submit"] <= moment["Start"] < waiting["Start"] and len(at_once[moment["JobID"]]) == 2
    ]


def test_a_training_over_its_time_limit_comes_back_and_continues(runs):
    *early, last = of_rule(runs.jobs["whole study"], "pretrain")
    assert early and last["State"] == "COMPLETED"
    assert all(job["State"] in ("FAILED", "TIMEOUT") and job["Timelimit"] == "00:02:00" for job in early)
    logs = failed_trainings(runs)
    assert len(logs) == len(early)
    assert any("SIGTERM received: saving and ending" in log for log in logs)
    log = (runs.folder / "results" / "logs" / "pretrain" / "pretrain" / "ALL.log").read_text()
    assert "continuing in epoch" in log


def test_no_epoch_is_lost_or_repeated(runs):
    for table in ("curves", "rankme"):
        rows = read_tsv(runs.folder / "results" / "pretrain" / "ALL" / f"{table}.tsv")
        assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS))


def test_killing_snakemake_leaves_the_cluster_clean_and_a_rerun_picks_up(runs):
    assert runs.queue_after_kill == []
    states = [job["State"].split()[0] for job in of_rule(runs.jobs["killed"], "pretrain")]
    assert states and "COMPLETED" not in states and "RUNNING" not in states
    assert "continuing in epoch" in failed_trainings(runs)[0]


@pytest.mark.parametrize("arm", ["FS-STKi", "ALL-STKi"])
def test_the_study_is_complete(runs, arm):
    results = runs.folder / "results"
    assert (results / "report" / "index.html").is_file()
    for seed in range(3):
        assert (results / "finetune" / arm / f"seed-{seed}" / "checkpoint.pth").is_file()
    assert len(list((results / "segment" / arm / "original" / "icoAIS").glob("*.nii.gz"))) == 3
