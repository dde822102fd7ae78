"""Every command of README and docs is one that there is: its program, its options, its targets, its files.

Nothing of them is carried out: Make is asked what it would do, Snakemake's own parser reads the options, one dry run
asks for all targets at once, and each script parses its command line and stops there.
"""

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake.cli import parse_args

from tests.bad_input.study import OTHERS, ROW, write_sheet
from tests.workflow import ROOT, copy_workflow, snakemake

PAGES = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^\n|\A)((?:^    .*\n)+)", re.MULTILINE)
INLINE = re.compile(r"`((?:make|snakemake|python) [^`]+)`")
CHECKED = {"make", "snakemake", "python"}
UNCHECKED = {
    "source": "of the shell",
    "command": "of the shell",
    "tail": "of the system, on a file of a run",
    "squeue": "Slurm's; tests/slurm has one",
    "sacct": "Slurm's; tests/slurm has one",
    "buildah": "docs/cluster.md says what was tried",
    "apptainer": "the same; tests/dag/test_container.py has a stand-in",
    "snakedeploy": "wants the public address of the repository",
}
NO_SHELL = {  # what blocks without a language begin with, where they hold no commands
    "ingest": "the order of the stages",
    "│": "the order of the stages",
    "└───────────────────────┴─────────────┴───────────┴────────────┴───────────┘": "the order of the stages",
    "final": "the order of the stages",
    "Snakefile": "the tree of the rooms",
    "{stage}/{name}/in_use": "folders of a training",
    "sub-X/[ses-Y/]{anat,ct}/sub-X[_ses-Y][_…]_{ct,ncct}.nii[.gz]": "names of BIDS",
}
PLACEHOLDER = re.compile(r"<\w+>")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a page, without comments."""
    blocks = [body for language, body in FENCED.findall(text) if language in ("", "sh", "bash", "shell")]
    rest = FENCED.sub("", text)
    blocks += INDENTED.findall(rest)
    for block in blocks:
        first = block.split()[0]
        if first not in NO_SHELL and not first.endswith(":"):  # a key of YAML, or of a Snakefile
            for line in block.replace("\\\n", " ").splitlines():
                yield from parts(line)
    for code in INLINE.findall(rest.replace("\n", " ")):
        yield from parts(code)


def parts(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word != "&&":
            words.append(word)
        elif words:
            yield words
            words = []


def of_all_pages(program: str) -> list[tuple[str, ...]]:
    found = {tuple(words) for page in PAGES for words in commands(page.read_text("utf-8")) if words[0] == program}
    return sorted(words for words in found if not PLACEHOLDER.search(" ".join(words)))


def test_a_broken_page_is_seen():
    text = "Say `make setupp`.\n\n    snakmake -n  # nothing\n\n```\npython -m a \\\n  --b c && make d\n```\n"
    text += "\n```yaml\na: b\n```\n"
    expected = [["python", "-m", "a", "--b", "c"], ["make", "d"], ["snakmake", "-n"], ["make", "setupp"]]
    assert list(commands(text)) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_page_names_no_program_but_those_that_are_checked_or_listed(page):
    programs = {words[0] for words in commands(page.read_text("utf-8"))}
    assert programs - CHECKED - set(UNCHECKED) == set()


@pytest.mark.parametrize("words", of_all_pages("make"), ids=" ".join)
def test_a_command_of_make_has_a_target_variables_that_it_reads_and_a_recipe_that_can_run(words):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    target, *given = words[1:]
    assert target in re.findall(r"^([\w-]+):(?! \w+ [?:]?=)", makefile, re.MULTILINE)
    body = re.search(rf"^{target}:(?! \w+ [?:]?=).*\n(?:\t.*\n|\s*$)*", makefile, re.MULTILINE)[0]
    for variable in given:
        assert f"$({variable.partition('=')[0]})" in body, variable
    values = dict(word.split("=", 1) for word in given)
    for module in re.findall(r"python -m (workflow_scripts\.\S+)", body):
        if "$(READER)" not in module or "READER" in values:
            script(module.replace("$(READER)", values.get("READER", "")))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A clone with the files that the pages name as those of a user."""
    folder = copy_workflow(tmp_path_factory.mktemp("clone"))
    (folder / "slurm").symlink_to("profiles/slurm")
    cohorts = ("AISD", "APIS", "icoAIS", "CENTER-TBI")
    rows = [row | {"cohort": cohort, "stripped": "", "mri_aligned": ""} for row in (ROW, *OTHERS) for cohort in cohorts]
    rows += [rows[2] | {"patient": f"Q{number}", "case": f"Q{number}"} for number in range(37)]  # 20 labels are a part
    rows = [row | {"lesion": f"{row['cohort']}-{row['case']}.nii.gz"} for row in rows]
    rows.append({"cohort": "new", "patient": "S01", "case": "S01", "ncct": "C1/ncct"})
    write_sheet(folder / "cases.tsv", *rows)
    for name in ("C1/ncct/1.dcm", "C1/dwi.nii.gz", "C1/adc.nii.gz", *(row["lesion"] for row in rows[:-1])):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "mine.yaml").write_text("run: {segment: [icoAIS, new]}\narms: {FS-STKi: {labels: [20]}}\n")
    return folder


@pytest.fixture(scope="module")
def calls(place) -> list[argparse.Namespace]:
    """What Snakemake reads of every call that a page names; an option or profile that there is not ends this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        parsed = []
        for words in of_all_pages("snakemake"):
            patch.setattr(sys, "argv", list(words))
            parsed.append(parse_args(list(words[1:]))[1])
        return parsed


def test_the_options_of_every_call_of_snakemake_are_known_and_the_rules_that_they_name(calls):
    named = [name for call in calls for name in (*call.forcerun, *call.until, *call.omit_from)]
    assert "finetune" in named
    assert set(named) <= rule_names()


def test_snakemake_can_make_every_target_that_a_page_names(place, calls):
    targets = {target for call in calls for target in call.targets}
    assert len(targets) > 2
    # With `jobs: cases`, single steps are asked for alone.
    options = ("-n", "--quiet", "all", "--config", "jobs=steps", "--configfile", "mine.yaml")
    snakemake(place, *sorted(targets), *options, workflow=place)


def rule_names() -> set[str]:
    text = "".join(file.read_text("utf-8") for file in (ROOT / "rules").glob("*.smk"))
    return set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE))


def script(module: str) -> Path:
    """The file of a module that can be run."""
    file = ROOT / f"{module.replace('.', '/')}.py"
    assert "__main__" in file.read_text("utf-8"), module
    return file


class Parsed(Exception):
    """A script has read its command line."""


@pytest.mark.parametrize("words", of_all_pages("python"), ids=" ".join)
def test_a_script_is_there_and_understands_its_command_line(words, monkeypatch):
    if words[1] == "-c":
        compile(words[2], "command", "exec")
        return
    assert words[1] == "-m"
    module, arguments = words[2], list(words[3:])
    if module == "pytest":
        assert all((ROOT / file).exists() for file in arguments if file.startswith("tests/"))
        return
    script(module)
    if not module.startswith("workflow_scripts."):
        assert arguments == []
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *given):
        raise Parsed(parse(self, *given))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    with pytest.raises(Parsed):
        importlib.import_module(module).main(arguments)
