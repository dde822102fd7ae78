"""With `jobs: cases` the steps of a case are one job of the study; each stays a target by the name of its file."""

import math
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import demo_arguments, job_counts, snakemake
from workflow_scripts.study.config_files import SHIPPED, complete_files
from workflow_scripts.study.study import Study, load_study
from workflow_scripts.study.whole_jobs import FORCED, INSIDE, cases, run
from workflow_scripts.study.whole_jobs.cases import changed, shared

PREPROCESSED = "results/preprocess/icoAIS/C1"
RECORD = f"{PREPROCESSED}/files.json"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_sheet(tmp_path / "cases.tsv", ROW)
    for path in ("ncct/image", "dwi.nii.gz", "adc.nii.gz", "lesion.nii.gz"):
        (tmp_path / "C1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "C1" / path).touch()
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"jobs": "cases"}))
    return tmp_path


@pytest.fixture
def loaded(study: Path, monkeypatch) -> Study:
    monkeypatch.chdir(study)
    return load_study(complete_files(["mine.yaml"]), [SHIPPED, "mine.yaml"], check_paths=False)


@pytest.fixture
def made(loaded: Study) -> list[Path]:
    """The files of a finished case, empty and old."""
    files = [Path(name) for name in (*cases.files(loaded, "icoAIS", "C1"), *cases.beside(loaded, "icoAIS", "C1"))]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (1e9, 1e9))
    return files


def jobs(folder: Path, *targets: str) -> dict[str, int]:
    return job_counts(snakemake(folder, "-n", *targets, "--cores", "2", "--configfile", "mine.yaml").stdout)


def test_a_case_is_one_job_and_a_step_is_one_by_its_file(study):
    shared = {"template", "weights", "environment_imaging", "environment_skullstrip"}
    assert jobs(study, "cohort_icoAIS").keys() == {*shared, "preprocess_case", "cohort_icoAIS", "total"}
    assert {"ingest_ncct", "resample_ncct"} < jobs(study, f"{PREPROCESSED}/resampled_ncct.nii.gz").keys()


def test_every_file_that_the_steps_of_a_case_keep_is_known_to_its_job(study, loaded):
    """One that is gone would not be made again; a step removes what it made before it runs, and may then be killed."""
    steps = snakemake(study, "-n", f"{PREPROCESSED}/case.json", "--config", "jobs=steps").stdout
    outputs = re.findall(r"^    output: (.+)$", steps, re.MULTILINE)
    removed = set(re.findall(r"^Would remove temporary output (.+)$", steps, re.MULTILINE))
    kept = {name for line in outputs for name in line.split(", ") if "/icoAIS/C1/" in name} - removed
    missed = {f"{PREPROCESSED}/registered_adc.nii.gz", f"{PREPROCESSED}/registered_dwi.nii.gz"}
    known = {*cases.files(loaded, "icoAIS", "C1"), *cases.beside(loaded, "icoAIS", "C1")}
    assert kept | missed == known


def test_a_case_runs_again_where_a_file_is_gone_or_a_step_was_run_alone(loaded, made):
    record = Path(RECORD)
    record.touch()
    os.utime(record, (1e9, 1e9))
    assert changed(loaded, "icoAIS", "C1") == []
    for file in made:
        file.unlink()
        assert changed(loaded, "icoAIS", "C1") == [str(file)]
        file.touch()
        assert changed(loaded, "icoAIS", "C1") == [str(file)]
        os.utime(file, (1e9, 1e9))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("name", ["mri_to_ncct.json", "contralateral.json", "crop.json", "brain_mask.json"])
def test_the_job_of_a_case_makes_what_is_gone_and_no_target(loaded, name):
    Path(PREPROCESSED, name).unlink()
    steps = cases.steps_of_missing(loaded, "icoAIS", "C1")
    call = ("-n", f"{PREPROCESSED}/case.json", "--config", "jobs=steps", "--forcerun", *steps)
    assert f"{PREPROCESSED}/{name}" in snakemake(Path.cwd(), *call).stdout
    assert len(steps) == 1


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


@pytest.mark.usefixtures("made")
def test_touch_gives_files_of_single_steps_their_record(study):
    """So a study that is finished changes to `jobs: cases` and makes nothing again."""
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
        (("all_ingest", RECORD), " and a job of preprocess_case in one call"),
        ((RECORD, "--forcerun", f"{PREPROCESSED}/ncct.nii.gz"), " and a job of preprocess_case in one call"),
        ((RECORD, "--delete-all-output"), "--delete-all-output: with `jobs: cases`"),
    ],
)
def test_what_knows_no_files_of_steps_is_refused(study, options, message):
    """Two jobs of one call would write the same file; files of patients would stay where all were to go."""
    said = snakemake(study, "-n", *options, "--configfile", "mine.yaml", check=False)
    assert said.returncode and message in said.stdout


@pytest.mark.usefixtures("made")
def test_a_step_and_what_it_does_not_touch_are_one_call(study):
    alone = f"{PREPROCESSED}/resampled_ncct.nii.gz"
    assert jobs(study, alone, "results/preprocess/weights/synthsr.weights").keys() >= {"resample_ncct", "weights"}
    snakemake(study, "--touch", RECORD, "--cores", "1", "--configfile", "mine.yaml")
    said = snakemake(study, "-n", alone, "results/split/splits.tsv", "--configfile", "mine.yaml", check=False)
    assert said.returncode and f"{alone} and a job of split in one call" in said.stdout


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
