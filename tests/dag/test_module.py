"""The workflow as a module of another one: three jobs run, wherever the other one lies and however it is configured."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workflow import DEMO, ROOT, copy_workflow, job_counts, snakemake

WITH = "configfile: 'mine.yaml'\nmodule stroke:\n    snakefile: {0!r}\n    config: config\nuse rule * from stroke\n"
WITHOUT = "module stroke:\n    snakefile: {0!r}\nuse rule * from stroke\n"
RENAMED = "module stroke:\n    snakefile: {0!r}\nuse rule * from stroke as stroke_*\n"
TARGETS = [f"results/demo/{name}/settings.yaml" for name in ("pretrain/ALL", "pretrain/ALL-SA", "finetune/FS-STKi")]


def write_caller(folder: Path, text: str, snakefile: str) -> Path:
    """Write another workflow with the demo's study in ``mine.yaml``; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Snakefile").write_text(text.format(snakefile))
    study = yaml.safe_load((DEMO / "study.yaml").read_text()) | {"cases": str(DEMO / "cases.tsv")}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study))
    return folder


def run_three(caller: Path, *arguments: str, **options) -> None:
    result = snakemake(caller, "--cores", "1", *TARGETS, *arguments, workflow=caller, **options)
    assert "3 of 3 steps (100%) done" in result.stdout
    settings = [yaml.safe_load((caller / target).read_text()) for target in TARGETS]
    assert [one.get("pretraining") for one in settings] == ["ALL", "ALL-SA", None]
    # What the other workflow does not say is as in the module's own file, also after the way through a job.
    assert settings[0]["max_draws"] == 10


@pytest.mark.parametrize("text", [WITH, WITHOUT, RENAMED], ids=["with config", "without", "renamed"])
def test_a_module_runs_from_another_folder(tmp_path, text):
    caller = write_caller(tmp_path / "another folder", text, str(ROOT / "Snakefile"))
    run_three(caller, *([] if text is WITH else ["--configfile", "mine.yaml"]))


def test_a_module_runs_from_a_read_only_checkout(tmp_path):
    checkout = copy_workflow(tmp_path)
    folders = [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]
    before = {path: path.stat().st_mtime_ns for path in folders}
    for path in folders:
        path.chmod(0o555)
    caller = write_caller(tmp_path.parent / f"{tmp_path.name}-caller", WITH, str(checkout / "Snakefile"))
    try:
        # Root may write everywhere, so the times of the folders tell.
        run_three(caller, variables={"PYTHONDONTWRITEBYTECODE": "1"})
        assert {path: path.stat().st_mtime_ns for path in folders} == before
    finally:
        for path in folders:
            path.chmod(0o755)


def test_a_module_that_snakedeploy_declares_runs_from_a_git_host(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    repository = tmp_path / "host" / "owner" / "stroke"
    repository.mkdir(parents=True)
    copy_workflow(repository)
    # Offline: git finds the host's repository in a folder.
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f'[url "file://{tmp_path}/host/"]\n    insteadOf = https://github.com/\n[user]\n    name = n\n    email = e\n'
    )
    variables = {"GIT_CONFIG_GLOBAL": str(settings), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=repository, check=True, env=os.environ | variables)
    repository.rename(repository.with_suffix(".git"))
    declared = WITH.replace("{0!r}", 'github("owner/stroke.git", path="Snakefile", tag="v1")')
    caller = write_caller(tmp_path / "caller", declared, "")
    run_three(caller, variables=variables)


def test_a_wrong_value_names_the_configuration_of_the_module(tmp_path):
    caller = write_caller(tmp_path, WITH, str(ROOT / "Snakefile"))
    (caller / "mine.yaml").write_text("preprocess: {spacing_mm: 0}\n")
    result = snakemake(caller, "-n", workflow=caller, check=False)
    assert result.returncode and "the configuration of the module, key preprocess.spacing_mm: 0 is not" in result.stdout


def test_the_template_of_a_configuration_is_a_study_of_an_own_cohort(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "Snakefile").write_text(WITH.replace("mine.yaml", "config/config.yaml").format(str(ROOT / "Snakefile")))
    (tmp_path / "config" / "scan.nii.gz").touch()
    with (tmp_path / "config" / "cases.tsv").open("a") as sheet:
        sheet.write("\t".join(["MINE", "P1", "C1", "scan.nii.gz", *[""] * 10]) + "\n")
    assert job_counts(snakemake(tmp_path, "-n", "all_preprocess", workflow=tmp_path).stdout)["finalise"] == 1
