"""Engines other than this machine, by profile only; paths that their jobs cannot have stop a call at once."""

import os

import pytest

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import ROOT, copy_workflow, demo_arguments, snakemake
from workflow_scripts.study.places import require_safe
from workflow_scripts.study.schemas import StudyError

# Stand-ins for the commands of Grid Engine and LSF. The first job is killed as by the queue: its script says nothing.
RUNS = """#!/bin/bash
echo "$@" >> {place}/submitted
number=$(wc -l < {place}/submitted)
(if [ $number = 1 ]; then echo 137; else "${{@: -1}}" > {place}/said.$number 2>&1; echo $?; fi) > {place}/ends.$number &
"""
ENDED = "#!/bin/bash\nend=$(cat {place}/ends.${{@: -1}})\n"
ENGINES = {
    "sge": {
        "qsub": RUNS + "echo $number\n",
        "qstat": ENDED + 'test -z "$end"\n',
        "qacct": ENDED + 'echo "failed       0"; echo "exit_status  $end"\n',
    },
    "lsf": {
        "bsub": RUNS + 'echo "Job <$number> is submitted to default queue <normal>."\n',
        "bjobs": ENDED + 'case "$end" in "") echo RUN;; 0) echo DONE;; *) echo EXIT;; esac\n',
    },
}
ASKED = {
    "sge": ["-N template -pe smp 1 -l h_vmem={}M -l h_rt={} -l gpu=1", (2500, 300), (5000, 600)],
    "lsf": [
        "-n 1 -R span[hosts=1] rusage[mem={0}MB] -M {0}MB -W {1} -gpu num=1",
        (2500, 5),
        (5000, 10),
    ],
}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_that_the_queue_kills_is_sent_again_with_more(engine, tmp_path):
    for name, text in ENGINES[engine].items():
        (tmp_path / name).write_text(text.format(place=tmp_path))
        (tmp_path / name).chmod(0o755)
    target = "results/demo/preprocess/template/template.nii.gz"
    options = ["--profile", str(ROOT / "profiles" / engine), "--seconds-between-status-checks", "1"]
    options += ["--default-resources", "gpu=1", "--latency-wait", "5", *demo_arguments()]
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    said = snakemake(tmp_path, target, *options, variables=path).stdout
    assert (tmp_path / target).is_file() and "Trying to restart" in said
    form, *asked = ASKED[engine]
    submitted = (tmp_path / "submitted").read_text().splitlines()
    assert len(submitted) == 2
    assert all(form.format(*values) in line for values, line in zip(asked, submitted, strict=True))


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
    nowhere = "preprocess={skull_stripping: {synthsr_weights: {url: 'http://127.0.0.1:9/none'}}}"
    own = ["--config", "jobs=steps", nowhere]
    said = snakemake(tmp_path, *targets, "--cores", "1", "--retries", "1", "--keep-going", *own, check=False).stdout
    assert said.count("Error in rule ingest_ncct") == 1 and said.count("Error in rule weights") == 2
