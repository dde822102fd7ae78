"""A call that Snakemake would end with a traceback, or read otherwise than it is meant, ends with a message."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.workflow import ROOT, demo_arguments, job_counts, snakemake
from workflow_scripts.study.call import check_call, check_swallowed, check_targets
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.yaml_files import read_mapping

COPIES = b"".join(b"%c: &%c [%b]\n" % (98 + i, 98 + i, b",".join(8 * [b"*%c" % (97 + i)])) for i in range(8))
BROKEN = {
    "empty.yaml": (b"", r"empty\.yaml: is empty"),
    "comment.yaml": (b"# nothing\n", "is empty"),
    "list.yaml": (b"- a\n", "holds a list"),
    "word.yaml": (b"spacing\n", "holds one value"),
    "tab.yaml": (b"a:\n\tb: 1\n", "line 2: .*not by tabs"),
    "open.yaml": (b"a: [1\nb: 2\n", "line 2"),
    "latin.yaml": (b"title: \xe4\n", "not UTF-8"),
    "bell.yaml": (b"title: \x07\n", "characters that YAML does not allow"),
    "twice.yaml": (b"a: 1\nb: 2\na: 3\n", "line 3: key 'a' is already in line 1"),
    "inside.yaml": (b"a:\n  b: 1\n  b: 1\n", "line 3: key 'b' is already in line 2"),
    "flow.yaml": (b"a: {b: 1, b: 2}\n", "line 1: key 'b'"),
    "spelt-otherwise.yaml": (b"yes: 1\ntrue: 2\n", "line 2: key 'true' is already in line 1"),
    "sentence.yaml": (b"Mueller, Hans: 1\nMueller, Hans: 2\n", "line 2: a key is already in line 1"),
    "date.yaml": (b"a: 1\nb: 2024-02-30\n", "line 2: a value that is no timestamp"),
    "digits.yaml": (b"a: " + 5000 * b"9", "line 1: a value that is no int"),
    "octal.yaml": (b"a: 010\n", "line 1: a whole number is written in plain digits"),
    "minutes.yaml": (b"a: 1:30\n", "line 1: a whole number is written in plain digits"),
    "forced.yaml": (b"a: !!int Mueller\n", "line 1: a whole number"),
    "forced-truth.yaml": (b"a: !!bool Mueller\n", "line 1: a value that is no bool"),
    "tag.yaml": (b"a: !Mueller 1\n", r"line 1: a tag \(!\)"),
    "python.yaml": (b"a: !!python/name:os.system ''\n", r"line 1: a tag \(!\)"),
    "windows.yaml": (b'a: "C:\\data"\n', "line 1: found unknown escape character; write a path with /"),
    "itself.yaml": (b"a: &a {b: *a}\n", "contains itself"),
    "laughs.yaml": (b"a: &a [x,x,x,x,x,x]\n" + COPIES, "too many"),
    "deep.yaml": (b"a: " + 2_000 * b"[" + 2_000 * b"]", "nested too deeply|too many"),
    "deep.json": (b'{"a": ' + 90_000 * b"[", "nested too deeply"),
    "digits.json": (b'{"a": ' + 5000 * b"9" + b"}", "too many digits"),
    "twice.json": (b'{"a": 1, "a": 2}', "key 'a' is written twice"),
    "open.json": (b'{"a": 1,\n', r"open\.json, line 2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used_is_named_with_its_line(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=message) as refusal:
        read_mapping(tmp_path / name)
    assert "Mueller" not in str(refusal.value)


def test_a_target_that_an_option_took_is_told():
    with pytest.raises(StudyError, match="--until has taken all_split"):
        check_swallowed({"--forcerun": [], "--until": ["preprocess_case", "all_split"]}, ["all", "all_split"])
    check_swallowed({"--until": {"preprocess_case"}}, ["all", "all_split"])


def test_numbers_are_those_of_yaml_1_2(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: [1e-3, 1E5, 1.5e+3, -.5e1, 2]\nb: ['1e5', 1e, e5, 1-2]\nc: {<<: {d: 1}, d: 2}\n")
    assert read_mapping(file) == {
        "a": [0.001, 100000.0, 1500.0, -5.0, 2],
        "b": ["1e5", "1e", "e5", "1-2"],
        "c": {"d": 2},
    }


@pytest.mark.parametrize(
    ("files", "config", "message"),
    [
        (["all_preprocess"], [], "--configfile all_preprocess: there is no such file; targets stand before"),
        (["."], [], "is a folder"),
        ([], ["a.b=3"], r"--config 'a=\{b: 3\}'"),
        ([], ["a.b.c=3"], r"--config 'a=\{b: \{c: 3\}\}'"),
        ([], ["all_split"], "is not KEY=VALUE"),
        ([], ["3=4"], "'3' is not the name of a key"),
    ],
)
def test_a_call_that_snakemake_cannot_read_is_explained(files, config, message):
    with pytest.raises(SystemExit, match=message):
        check_call(files, config, [])


def test_a_call_without_files_and_profiles_passes():
    check_call(None, None, [None])


NAMES = ["all", "all_preprocess", "all_pretrain", "arm_A", "cohort_X"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("all_prepocess", "is all_preprocess meant"),
        ("all_prep", "is all_preprocess meant"),
        ("arm_B", "left out of the study"),
        ("arm_C", r"key run\.arms"),
        ("cohort_Y", "case sheet has cases"),
        ("result/x.nii.gz", "key outdir"),
        ("nonsense", "Targets: all, all_preprocess"),
    ],
)
def test_an_unknown_target_names_those_that_there_are(target, message):
    with pytest.raises(StudyError, match=message):
        check_targets(["all", target], NAMES, ["arms.B"], ["results/y.json"])


def test_known_targets_pass():
    check_targets(["all", "results/y.json", "split"], NAMES, [], ["results/y.json", "split"])


def test_messages_come_from_a_call_of_snakemake_without_a_traceback(tmp_path):
    (tmp_path / "twice.yaml").write_text("device: cpu\ndevice: auto\n")
    (tmp_path / "scan.nii.gz").touch()
    row = "\t".join(["MINE", "P1", "C1", "scan.nii.gz", *[""] * 10])
    (tmp_path / "cases.tsv").write_text((ROOT / "cases.tsv").read_text().strip() + f"\n{row}\n")
    calls = {
        (): "all_report is empty: no arm of run.arms can be trained on the cohorts of the case sheet (MINE)",
        ("results/report/index.html",): "all_report is empty: no arm",
        ("results/preprocess/MINE/C9/case.json",): "no included case MINE/C9",
        ("results/preprocess/MINE/C9/case.json", "--config", "jobs=steps"): "no included case MINE/C9",
        ("results/pretrain/MY/encoder.pt",): "'MY' is not an entry of pretrainings",
        ("--configfile", "twice.yaml"): "twice.yaml, line 2: key 'device' is already in line 1",
        ("--config", "preprocess.spacing_mm=2"): "--config 'preprocess={spacing_mm: 2}'",
        ("all_prepro",): "is all_preprocess meant",
        (
            "--config",
            "preprocess={spacing_mm: none}",
        ): "--config, on the command line, key preprocess.spacing_mm: 'none'",
    }
    for arguments, message in calls.items():
        result = snakemake(tmp_path, "-n", *arguments, check=False)
        assert result.returncode, arguments
        assert message in result.stdout
        assert "Traceback" not in result.stdout


def test_numbers_reach_the_rules_in_any_form(tmp_path):
    (tmp_path / "scan.nii.gz").touch()
    row = "\t".join(["MINE", "P1", "C1", "scan.nii.gz", *[""] * 10])
    (tmp_path / "cases.tsv").write_text((ROOT / "cases.tsv").read_text().strip() + f"\n{row}\n")
    (tmp_path / "mine.yaml").write_text("preprocess: {registration: {grid_mm: 2e0}}\n")
    target = "results/preprocess/MINE/C1/contralateral.nii.gz"
    given = ["--configfile", "mine.yaml", "--config", "preprocess={spacing_mm: 3, antialias: false}"]
    output = snakemake(tmp_path, "-n", "-p", target, *given).stdout
    assert "--spacing 3 --no-antialias" in output
    assert "--grid-mm 2.0" in output
    assert job_counts(output)["contralateral"] == 1


def test_a_killed_run_goes_on_after_its_lock_is_removed(tmp_path):
    target, started = "results/demo/pretrain/ALL/settings.yaml", tmp_path / "started"
    hanging = tmp_path / "bin" / "python"
    hanging.parent.mkdir()
    hanging.write_text(f"#!/bin/sh\necho half > {target}; touch {started}; exec sleep 600\n")
    hanging.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), target, *demo_arguments()],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{hanging.parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    locked = snakemake(tmp_path, target, *demo_arguments(), check=False)
    assert locked.returncode and "--unlock" in locked.stdout
    snakemake(tmp_path, "--unlock", *demo_arguments())
    snakemake(tmp_path, target, *demo_arguments())
    assert "half" not in (tmp_path / target).read_text()
