"""What the report's page reads are its inputs: a changed text is a reason to write the page again."""

import os
import re

import pytest

from tests.workflow import copy_workflow, demo_arguments, job_counts, snakemake

PAGE = "results/demo/report/index.html"
ALONE = ["--allowed-rules", "index", "--"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A copy of the workflow, and a folder in which the page and everything that it is made of lie."""
    workflow, folder = copy_workflow(tmp_path_factory.mktemp("workflow")), tmp_path_factory.mktemp("results")
    planned = snakemake(folder, "-n", *demo_arguments(), PAGE, workflow=workflow).stdout
    inputs = re.search(r"^rule index:$\n +input: (.*)$", planned, flags=re.MULTILINE)[1].split(", ")
    for name in (*inputs, PAGE):
        path = folder / name
        if not path.is_relative_to(workflow):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        os.utime(path, (1, 1 if name != PAGE else 2))
    return workflow, folder


def jobs(written):
    workflow, folder = written
    return job_counts(snakemake(folder, "-n", *demo_arguments(), *ALONE, PAGE, workflow=workflow).stdout)


def test_a_page_newer_than_all_it_reads_is_left_alone(written):
    assert jobs(written) == {}


@pytest.mark.parametrize("file", ["rules/captions/dice.rst", "rules/captions/table.rst", "requirements.txt"])
def test_a_changed_text_writes_the_page_again(written, file):
    path = written[0] / file
    os.utime(path, (3, 3))
    try:
        assert jobs(written) == {"index": 1, "total": 1}
    finally:
        os.utime(path, (1, 1))
