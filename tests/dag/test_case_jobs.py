"""With `jobs: cases` the steps of a case are one job of the study; each stays a target by the name of its file."""

import fcntl
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import demo_arguments, job_counts, snakemake
from workflow_scripts.study.config_files import SHIPPED, complete_files
from workflow_scripts.study.study import load_study
from workflow_scripts.study.whole_jobs import FORCED, INSIDE, run
from workflow_scripts.study.whole_jobs.cases import changed, shared

PREPROCESSED = "results/preprocess/icoAIS/C1"
RECORD = f"{PREPROCESSED}/files.json"
FILES = ("ncct", "brain_mask", "mirrored", "difference", "brain", "registered_dwi", "registered_adc", "lesion")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_sheet(tmp_path / "cases.tsv", ROW)
    for path in ("ncct/image", "dwi.nii.gz", "adc.nii.gz", "lesion.nii.gz"):
        (tmp_path / "C1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "C1" / path).touch()
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"jobs": "cases"}))
    return tmp_path


def jobs(folder: Path, *targets: str) -> dict[str, int]:
    return job_counts(snakemake(folder, "-n", *targets, "--cores", "2", "--configfile", "mine.yaml").stdout)


def test_a_case_is_one_job_and_a_step_is_one_by_its_file(study):
    shared = {"template", "weights", "environment_imaging", "environment_skullstrip"}
    assert jobs(study, "cohort_icoAIS").keys() == {*shared, "preprocess_case", "cohort_icoAIS", "total"}
    assert {"ingest_ncct", "resample_ncct"} < jobs(study, f"{PREPROCESSED}/resampled_ncct.nii.gz").keys()


def test_a_case_runs_again_where_a_file_is_gone_or_a_step_was_run_alone(study, monkeypatch):
    monkeypatch.chdir(study)
    loaded = load_study(complete_files(["mine.yaml"]), [SHIPPED, "mine.yaml"], check_paths=False)
    (study / PREPROCESSED).mkdir(parents=True)
    ingested = study / "results" / "ingest" / "icoAIS" / "C1"
    ingested.mkdir(parents=True)
    files = [*(study / PREPROCESSED / f"{name}.nii.gz" for name in FILES), study / PREPROCESSED / "case.json"]
    files += [ingested / name for name in ("ncct.nii.gz", "ncct.json", "lesion.nii.gz")]
    for file in (*files, study / RECORD):
        file.touch()
        os.utime(file, (1e9, 1e9))
    assert changed(loaded, "icoAIS", "C1") == []
    files[1].unlink()
    assert changed(loaded, "icoAIS", "C1") == [str(files[1].relative_to(study))]
    files[1].touch()
    assert changed(loaded, "icoAIS", "C1") == [str(files[1].relative_to(study))]


def test_a_case_waits_for_the_weights_that_it_needs(study, monkeypatch):
    mask = {"brain_mask": "brain.nii.gz"}
    rows = ({"case": "C1"}, {"case": "C2", "stripped": "", **mask}, {"case": "C3", **mask})
    write_sheet(study / "cases.tsv", *(ROW | row for row in rows))
    monkeypatch.chdir(study)
    loaded = load_study(complete_files(["mine.yaml"]), [SHIPPED, "mine.yaml"], check_paths=False)
    weights = [{Path(one).stem for one in shared(loaded, "icoAIS", case)[:-2]} for case in ("C1", "C2", "C3")]
    assert weights == [{"synthsr", "synthstrip"}, {"synthstrip"}, set()]


def test_the_snakemake_of_a_case_repeats_no_message_and_minds_no_other_scan(study):
    """What the study leaves out would stand in a thousand logs; a scan that goes while it runs is its own case's."""
    (study / "C1" / "dwi.nii.gz").unlink()
    target = "results/ingest/icoAIS/C1/ncct.nii.gz"
    said = snakemake(study, "-n", target, "--configfile", "mine.yaml", variables={INSIDE: "yes"}).stdout
    assert "ingest_ncct" in said and "Left out" not in said


def test_touch_gives_files_of_single_steps_their_record(study):
    """So a study that is finished changes to `jobs: cases` and makes nothing again."""
    for folder in (PREPROCESSED, "results/ingest/icoAIS/C1"):
        (study / folder).mkdir(parents=True)
    files = [*(f"{PREPROCESSED}/{name}.nii.gz" for name in FILES), f"{PREPROCESSED}/case.json"]
    files += [f"results/ingest/icoAIS/C1/{name}" for name in ("ncct.nii.gz", "ncct.json", "lesion.nii.gz")]
    for file in files:
        (study / file).touch()
    call = (RECORD, "--cores", "1", "--configfile", "mine.yaml")
    snakemake(study, "--touch", *call)
    assert "preprocess_case" not in job_counts(snakemake(study, "-n", *call).stdout)


def test_a_changed_file_forces_its_job_and_the_record_stays_until_it_runs(study):
    """Calls that run nothing, or other jobs, would remove it in vain; all that waits for it would run again."""
    folder = study / PREPROCESSED
    folder.mkdir(parents=True)
    (folder / "files.json").touch()
    os.utime(folder / "files.json", (1e9, 1e9))
    options = ("--configfile", "mine.yaml", "--cores", "1")
    said = snakemake(study, "-n", *options, RECORD).stdout
    assert f"{RECORD}: its job runs again" in said and job_counts(said)["preprocess_case"] == 1
    snakemake(study, *options, RECORD, "--summary")
    snakemake(study, *options, RECORD, "--until", "template", "--forceall")
    assert (folder / "files.json").exists()


def test_steps_go_by_the_options_of_the_call(study):
    options = ("--rerun-triggers", "mtime", "--notemp", "--conda-prefix", "my envs", "--set-threads", "finalise=3")
    said = snakemake(study, "-n", "-p", RECORD, "--configfile", "mine.yaml", *options).stdout
    words = shlex.split(next(line for line in said.splitlines() if "whole_jobs.run" in line and "--case=" in line))
    call = run.command(run.parse([*words[words.index("--cohort=icoAIS") : words.index(">")]]), ["x"], "study.json", [])
    _, arguments = parse_args(call[call.index("snakemake") + 1 :])
    assert [trigger.name for trigger in arguments.rerun_triggers] == ["MTIME"] and arguments.notemp
    assert str(arguments.conda_prefix) == "my envs" and "finalise" in arguments.set_threads


def test_a_case_waits_for_processes_that_a_killed_call_left(tmp_path):
    """They hold the log, in which the shell of the next call begins anew."""
    log = tmp_path / "case.log"
    words = [
        sys.executable,
        "-c",
        "from workflow_scripts.study.whole_jobs.run import wait_for_others as w; w(); input()",
    ]
    pipes = {"stdin": subprocess.PIPE, "cwd": SHIPPED.parent, "stderr": subprocess.PIPE, "text": True}
    with started(words, log, **pipes) as left:
        while not locked(log):
            assert left.poll() is None
        with started(words, log, **pipes) as next_call:
            assert "Waiting" in next_call.stderr.readline()
            left.communicate("\n", timeout=60)
            next_call.communicate("\n", timeout=60)
            assert next_call.returncode == 0


def started(words: list[str], log: Path, **pipes) -> subprocess.Popen:
    with log.open("w") as file:
        return subprocess.Popen(words, stdout=file, **pipes)


def locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize(
    "force",
    [
        ("--forcerun", "preprocess_case", "finalise"),
        ("--forcerun", RECORD),
        ("--force",),
        ("--forceall",),
    ],
)
def test_a_forced_step_makes_its_job_run_and_is_forced_there(study, force, monkeypatch):
    (study / PREPROCESSED).mkdir(parents=True)
    said = snakemake(study, "-n", RECORD, "--configfile", "mine.yaml", *force).stdout
    assert job_counts(said)["preprocess_case"] == 1
    monkeypatch.setenv(FORCED, {"--force": RECORD, "--forceall": "all"}.get(force[0], "\n".join(force[1:])))
    words = ["--cohort", "A", "--case", "B", "--rules", "finalise", "lesion", "--threads", "1", "--mem-mb", "1"]
    call = run.command(run.parse([*words, "--out", RECORD]), ["x"], "study.json", [])
    forced = call[call.index("--forcerun") + 1 :]
    assert forced == (["finalise"] if force[-1] == "finalise" else ["finalise", "lesion"])


def test_options_that_name_a_step_are_told_the_job(study):
    for option in ("--until", "--omit-from", "--forcerun"):
        said = snakemake(study, "-n", RECORD, "--configfile", "mine.yaml", option, "finalise", check=False)
        assert said.returncode and "it is a step of preprocess_case" in said.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("all_ingest", RECORD), f"all_ingest and {RECORD} in one call"),
        ((RECORD, "--forcerun", f"{PREPROCESSED}/ncct.nii.gz"), f"{PREPROCESSED}/ncct.nii.gz and {RECORD} in one call"),
        ((RECORD, "--delete-all-output"), "--delete-all-output: with `jobs: cases`"),
    ],
)
def test_what_knows_no_files_of_steps_is_refused(study, options, message):
    """Two jobs of one call would write the same file; files of patients would stay where all were to go."""
    said = snakemake(study, "-n", *options, "--configfile", "mine.yaml", check=False)
    assert said.returncode and message in said.stdout


def test_a_broken_scan_is_told_by_the_job_and_not_tried_again(study):
    own = yaml.safe_dump({"preprocess": {"skull_stripping": {"ncct": "hu", "mri": "deepbet"}}})
    (study / "mine.yaml").write_text(own)
    run = ("--cores", "1", "--configfile", "mine.yaml", "--retries", "2", RECORD)
    said = snakemake(study, *run, check=False).stdout
    assert said.count("Error in rule preprocess_case") == 1
    assert "Case icoAIS/C1: " in said and "Remedy: " in said
    assert not (study / RECORD).exists()


def test_the_masks_of_a_batch_are_one_job_and_each_is_one_by_its_file(tmp_path):
    dry = ("-n", *demo_arguments("jobs=cases", "segment={batch_size: 4}"))
    counts = job_counts(snakemake(tmp_path, *dry, "arm_FS-STKi").stdout)
    segmented = math.ceil(counts["phantom_icoAIS"] / 4)
    assert counts["segment_batch"] == segmented and "segment" not in counts and "ensemble" not in counts
    mask = "results/demo/segment/FS-STKi/original/icoAIS/I01.nii.gz"
    counts = job_counts(snakemake(tmp_path, *dry, mask).stdout)
    assert (counts["segment"], counts["ensemble"]) == (3, 1) and "segment_batch" not in counts
