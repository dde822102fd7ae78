"""Engines other than this machine, by profile only; paths that their jobs cannot have stop a call at once."""

import pytest
import yaml

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import ROOT, copy_workflow, demo_arguments, snakemake
from workflow_scripts.study.places import require_safe
from workflow_scripts.study.schemas import StudyError

PROFILE = ROOT / "profiles" / "generic" / "config.yaml"


def test_a_job_runs_through_a_submit_command_and_a_dry_run_passes(tmp_path):
    submit = tmp_path / "submit"
    submit.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/submitted\nsh "$3" > /dev/null 2>&1 &\necho 1\n')
    submit.chmod(0o755)
    profile = yaml.safe_load(PROFILE.read_text())
    profile |= {"cluster-generic-submit-cmd": f"{submit} {{threads}} {{resources.mem_mb}}", "latency-wait": 5}
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    target = "results/demo/preprocess/template/template.nii.gz"
    arguments = [target, "--profile", str(tmp_path / "profile"), *demo_arguments()]
    assert "template" in snakemake(tmp_path, "-n", *arguments).stdout
    snakemake(tmp_path, *arguments)
    assert (tmp_path / target).is_file()
    threads, memory, _ = (tmp_path / "submitted").read_text().split()
    assert (threads, memory) == ("1", "2500")


@pytest.mark.parametrize("name", ["a b", "it's", "$HOME", "a&b", "ünï", "a\nb", 'a"b'])
def test_paths_that_a_shell_takes_apart_are_refused(name):
    with pytest.raises(StudyError, match="executor 'slurm'"):
        require_safe("slurm", ["/data", f"/data/{name}/results"])


def test_plain_paths_pass():
    require_safe("slurm", ["/data/stroke_2.0-b/results", "results"])


def test_an_odd_path_works_here_and_stops_on_a_cluster(tmp_path):
    clone = tmp_path / "it's $HOME & ünï"
    clone.mkdir()
    copy_workflow(clone)
    (clone / "cases.tsv").write_text((ROOT / "cases.tsv").read_text())
    target = "results/demo/pretrain/ALL/settings.yaml"
    snakemake(clone, target, *demo_arguments(), workflow=clone)
    assert (clone / target).is_file()
    stopped = snakemake(clone, "-n", "--profile", "profiles/slurm", workflow=clone, check=False)
    assert stopped.returncode and "jobs of the executor 'slurm' cannot be sent" in stopped.stdout
    assert "Traceback" not in stopped.stdout


def test_a_broken_scan_is_not_tried_again_and_another_failure_is(tmp_path):
    write_sheet(tmp_path / "cases.tsv", ROW)
    for path in ("ncct/image", "dwi.nii.gz", "adc.nii.gz", "lesion.nii.gz"):
        (tmp_path / "C1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "C1" / path).touch()
    targets = ["results/ingest/icoAIS/C1/ncct.nii.gz", "results/preprocess/weights/synthsr.weights"]
    own = ["--config", "preprocess={skull_stripping: {synthsr_weights: {url: 'http://127.0.0.1:9/none'}}}"]
    said = snakemake(tmp_path, *targets, "--cores", "1", "--retries", "1", "--keep-going", *own, check=False).stdout
    assert said.count("Error in rule ingest_ncct") == 1 and said.count("Error in rule weights") == 2
