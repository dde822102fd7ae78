"""README and docs name files, links and resources that are there; test_commands.py has the commands."""

import re
from pathlib import Path

import pytest
import yaml

from tests.workflow import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILE = re.compile(r"`((?:workflow_scripts|rules|tests|docs|profiles|envs)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
RULE = re.compile(r"^ *rule (\w+):$(.*?)(?=^ *rule\b|\Z)", re.MULTILINE | re.DOTALL)
REQUEST = re.compile(r'\*\*request\("(\w+)"')


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request) -> Path:
    return request.param


def test_every_file_that_a_page_names_exists(page):
    named = FILE.findall(page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_link_leads_somewhere(page):
    for target, heading in LINK.findall(page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        if heading:
            assert heading in headings(file), f"{target}#{heading}"


def headings(page: Path) -> set[str]:
    """The headings of a page in the form that links have."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines}


def test_the_tree_of_rooms_has_every_folder_of_the_code():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = text.split("## The rooms")[1].split("```")[1]
    code = ROOT / "workflow_scripts"
    rooms = {file.parent.name for depth in ("*", "*/*") for file in code.glob(f"{depth}/__init__.py")}
    assert rooms - set(re.findall(r"^ +(\w+)/", tree, re.MULTILINE)) == set()


def presets() -> dict[str, str]:
    """The preset of resources that each rule asks for."""
    rules = [rule for file in (ROOT / "rules").glob("*.smk") for rule in RULE.findall(file.read_text("utf-8"))]
    return {name: found[1] for name, body in rules if (found := REQUEST.search(body))}


def test_the_table_of_resources_says_what_every_rule_asks_for():
    resources = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["resources"]
    wanted = {
        rule: (preset, resources[preset]["runtime"], resources[preset]["mem_mb"]) for rule, preset in presets().items()
    }
    section = (ROOT / "docs" / "cluster.md").read_text("utf-8").split("## 6.")[1]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    told = {
        rule: (row[-3].strip("`"), int(row[-2].replace(" ", "")), int(row[-1].replace(" ", "")))
        for row in rows
        for rule in re.findall(r"`(\w+)`", row[0])
    }
    assert len(wanted) > 40
    assert told == wanted
