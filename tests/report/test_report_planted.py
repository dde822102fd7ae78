"""Five planted failures rank before every healthy case of a small cohort, each with a flag that names the matter."""

import re
from pathlib import Path

import pytest

from tests.report import planted
from workflow_scripts.common.files import read_json
from workflow_scripts.report import case_page, cohort_page

NAMED = {
    "eroded": ("brain mask too small", "the outer brain is missing"),
    "shifted": ("MRI misplaced", "misregistered"),
    "flipped": ("MRI fits mirrored NCCT as well", "left and right may be swapped"),
    "wrong": ("MRI fits mirrored NCCT as well", "another patient"),
    "cut": ("brain cut off", "does not reach its top"),
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of all cases, with the page of each."""
    root = tmp_path_factory.mktemp("planted")
    planted.make_cohort(root)
    cases = [*planted.HEALTHY, *planted.PLANTED]
    pages = root / "report" / "cases" / planted.COHORT
    for case in cases:
        out = ["--out-page", str(pages / f"{case}.html"), "--out-thumbnail", str(pages / f"{case}.svg")]
        case_page.main([*planted.page_arguments(root, case), *out])
    arguments = ["--title", "Planted failures", "--cohort", planted.COHORT, "--cases", *cases]
    arguments += ["--preprocess", str(root / "preprocess"), "--thumbnails", str(pages)]
    cohort_page.main([*arguments, "--out", str(pages.with_suffix(".html"))])
    return root


def quality(cohort: Path, case: str) -> dict:
    return read_json(cohort / "preprocess" / planted.COHORT / case / "case.json")["quality"]


def test_every_planted_failure_ranks_before_every_healthy_case(cohort):
    index = (cohort / "report" / "cases" / f"{planted.COHORT}.html").read_text(encoding="utf-8")
    listed = re.findall(rf'<h3><a href="{planted.COHORT}/([A-Za-z0-9-]+)\.html">', index)
    assert set(listed[: len(planted.PLANTED)]) == set(planted.PLANTED)
    assert set(listed[len(planted.PLANTED) :]) == set(planted.HEALTHY)


@pytest.mark.parametrize("case", planted.HEALTHY)
def test_a_healthy_case_has_no_flag(cohort, case):
    assert quality(cohort, case)["flags"] == []


@pytest.mark.parametrize("case", planted.PLANTED)
def test_a_planted_failure_has_a_flag_that_names_the_matter(cohort, case):
    flag, words = NAMED[case]
    page = (cohort / "report" / "cases" / planted.COHORT / f"{case}.html").read_text(encoding="utf-8")
    assert flag in quality(cohort, case)["flags"]
    assert words in page[page.index('<ul class="flags">') : page.index('<dl class="facts">')]


def test_a_flipped_lesion_lies_on_the_brighter_side(cohort):
    assert "lesion on the brighter side" in quality(cohort, "flipped")["flags"]


def test_the_shift_of_15_mm_is_measured(cohort):
    assert quality(cohort, "shifted")["mri_offset_mm"] == pytest.approx(15, abs=2)


def test_an_eroded_mask_disagrees_with_the_second_method(cohort):
    assert "brain masks disagree" in quality(cohort, "eroded")["flags"]
