"""Jobs run in the container that the configuration names, where a call asks for containers, and else nowhere."""

import os

from tests.workflow import demo_arguments, snakemake

TARGET = "results/demo/pretrain/ALL/settings.yaml"
APPTAINER = """#!/bin/bash
# Stands in for apptainer: notes how it was called, and runs the command of the job here.
if [ "$1" = --version ]; then echo "apptainer version 1.3.6"; exit; fi
echo "$*" >> "$(dirname "$0")/called"
exec bash -c "${@: -1}"
"""


def test_a_job_runs_in_the_image(tmp_path):
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(APPTAINER)
    program.chmod(0o755)
    (tmp_path / "stroke.sif").touch()
    variables = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    image = demo_arguments("container=stroke.sif")
    snakemake(tmp_path, TARGET, *image, "--sdm", "apptainer", variables=variables)
    (called,) = (program.parent / "called").read_text().splitlines()
    assert called.startswith(f"exec --home {tmp_path}") and " stroke.sif bash -c set -euo pipefail;" in called
    assert (tmp_path / TARGET).is_file()
    (tmp_path / TARGET).unlink()
    snakemake(tmp_path, TARGET, *image, variables=variables)
    assert len((program.parent / "called").read_text().splitlines()) == 1, "no container where none is asked for"


def test_containers_without_an_image_are_refused(tmp_path):
    result = snakemake(tmp_path, "-n", TARGET, *demo_arguments(), "--sdm", "apptainer", check=False)
    assert result.returncode and "key container of the configuration names no image" in result.stdout
