"""The report's page holds everything, needs nothing from elsewhere, and says what the numbers are not."""

import html
import re
from pathlib import Path

import pytest

from tests.report import parts
from tests.report.parts import CAPTIONS, FIGURES, KINDS, OUTSIDE, ROOT
from workflow_scripts.common.files import read_tsv
from workflow_scripts.evaluate.measures.agreement import Agreement
from workflow_scripts.evaluate.measures.comparison import Comparison
from workflow_scripts.report import index
from workflow_scripts.report.pages import grids
from workflow_scripts.report.pages import index_content as content


@pytest.fixture(scope="module")
def index_arguments(study, tmp_path_factory) -> list[str]:
    return parts.index_arguments(study, tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def page(index_arguments, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("page") / "index.html"
    index.main([*index_arguments, "--out", str(out)])
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "section",
    [
        *(
            "brief",
            "methods",
            "cohort",
            "results",
            "comparisons",
            "labels",
            "agreement",
            "subgroups",
            "examples",
            "training",
        ),
        *("interpretation", "failures", "quality", "checklists", "limits", "software"),
    ],
)
def test_the_page_holds_every_section_and_its_contents_link_to_it(page, section):
    assert f'<h2 id="{section}">' in page
    assert f'href="#{section}"' in page


def test_the_page_holds_every_figure_with_its_caption_and_needs_nothing_from_elsewhere(page):
    assert len(re.findall(r'<img src="data:image/(?:svg\+xml|webp);base64,', page)) == len(FIGURES)
    assert len(re.findall(r"<figcaption>[^<]{40,}</figcaption>", page)) == len(FIGURES)
    assert OUTSIDE.findall(page) == []
    assert page.count("<script") == 1


@pytest.mark.parametrize("kind", ["interpretation", "pretraining"])
def test_a_study_without_a_figure_has_a_page_without_it(index_arguments, tmp_path, kind):
    kept = [word for word in index_arguments if not re.match(rf"{kind}[-.]", Path(word).name)]
    assert len(kept) < len(index_arguments)
    index.main([*kept, "--out", str(tmp_path / "index.html")])
    assert len(re.findall("<figcaption>", (tmp_path / "index.html").read_text())) == len(FIGURES) - 1


def test_the_notice_stands_once_on_top(page):
    notice = "Every head in this report is a phantom"
    assert page.count(notice) == 1
    assert page.index(f'<p class="notice" role="note">{notice}') < page.index("<h2")
    assert "snakemake" not in page.split("Versions that this workflow pins")[0]


def test_no_arm_is_called_the_best_of_the_test_set(page):
    text = html.unescape(re.sub(r"<[^>]+>|\s+", " ", page.split("<main")[1]))
    of_test = [sentence for sentence in re.split(r"(?<=[.:;]) ", text) if "test set" in sentence.lower()]
    assert of_test and not [sentence for sentence in of_test if re.search(r"\b(best|highest|winn)", sentence)]
    table3 = page.split('id="table3"')[1].split("<h3")[0]
    assert 'class="best"' not in table3


def test_the_page_says_how_often_the_test_set_was_looked_at(page, study):
    looks = read_tsv(study.path("evaluate/test_looks.tsv"))
    assert looks and page.count("<td>" + looks[0]["time"] + "</td>") >= 1
    assert f"The test set was looked at {len(looks)} times" in page


def test_the_methods_are_those_that_the_records_of_the_trainings_say(page):
    (row,) = re.findall(r'<tr><th scope="row">FS-STKi</th><td class="text">segmentation.*', page)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row)
    assert cells == ["segmentation", "8 × 20 × 20", "2", "0.01", "20", "25", "10 min", "not recorded", "16, 32"]


def test_the_page_says_whom_each_pretraining_saw(page):
    assert "Pretraining ALL-SA saw 8 patients (9 cases) of the splits train" in page
    assert "Of 5 validation and test patients it saw none." in page


def test_the_page_says_what_the_features_tell_of_how_many_heads(page):
    size, _, side, _, sex, _ = re.findall(r'<tr><th scope="row">(?:size|side|sex)</th>.*', page)
    assert '<td class="text">linear probe</td><td>12</td><td>14</td><td>7</td><td>0.60 (0.30 to 0.80)</td>' in size
    assert "<td>−0.02 (−0.32 to 0.18)</td>" in size
    assert '<td class="best">+0.62 (+0.32 to +0.82)</td>' in size
    assert "<td>0.50 (0.20 to 0.70)</td><td>−0.40 (−0.70 to −0.20)</td><td>–</td>" in size
    assert "best" not in side, "an interval that holds 0 is no evidence"
    assert sex.count("<td>–</td>") == 6 and "too few patients" in sex


@pytest.mark.parametrize(
    ("pretrained_low", "difference_low", "moments", "told"),
    [("0.1", "0.1", "0.1", True), ("-0.1", "0.1", "0.1", False), ("0.1", "0.1", "0.3", False)],
    ids=["evidence", "only less wrong than random ones", "less than ten numbers of the mask tell"],
)
def test_only_features_that_tell_something_are_marked(pretrained_low, difference_low, moments, told):
    row = {"pretraining": "ALL", "pretrained": "0.2", "random": "-0.2", "difference": "0.4", "supervised": ""}
    row |= {"pretrained_low": pretrained_low, "random_low": "-0.4", "difference_low": difference_low}
    row |= {"pretrained_high": "0.3", "random_high": "0.0", "difference_high": "0.6"}
    row |= {f"{name}{part}": moments for name in ("moments", "histogram") for part in ("", "_low", "_high")}
    (shown,) = content.probe_tables([[row]])
    assert [cell["best"] for cell in shown["rows"][0]["cells"]] == [False, False, told, False, False, False]


def test_a_study_without_probes_says_so(index_arguments, study, tmp_path):
    given = ("--probes", study.path("pretrain/ALL-SA/probe.tsv"))
    gone = re.compile(r"(probe|neighbours)[-.]")
    kept = [word for word in index_arguments if word not in given and not gone.match(Path(word).name)]
    index.main([*kept, "--out", str(tmp_path / "index.html")])
    assert "Not asked for in the configuration (probe.attributes)" in (tmp_path / "index.html").read_text()


def test_the_page_says_that_it_is_no_medical_device(page):
    assert page.count("Research software, not a medical device") == 1
    assert "not validated for clinical use" in page


def test_excluded_cases_are_listed_with_their_reason_as_text(page):
    assert html.escape("motion <artefacts> & a second series") in page
    assert "<artefacts>" not in page


def test_headings_of_tables_state_n_and_how_many_were_left_out(page, study):
    summary = read_tsv(study.path("evaluate/summary.tsv"))
    row = next(
        row
        for row in summary
        if (row["member"], row["split"], row["criterion"]) == ("ensemble", "test", "large")
        and (row["arm"], row["measure"]) == ("FS-STKi", "dice")
    )
    of = f"; {row['scored']} of {row['cases']} labelled cases" if row["scored"] != row["cases"] else ""
    assert f"icoAIS, lesions &gt; 3 mL (n = {row['n']}{of})" in page


def test_every_case_is_linked_the_flagged_one_first(page, study):
    links = re.findall(r'href="cases/([A-Za-z0-9-]+)/([A-Za-z0-9-]+)\.html"', page)
    assert sorted(links) == sorted((row["cohort"], row["case"]) for row in study.rows)
    assert links[0] == ("icoAIS", "S04")
    assert re.findall(r'href="cases/([A-Za-z0-9-]+)\.html"', page) == ["icoAIS", "CENTER-TBI"]
    segmented = re.findall(r'href="segmentations/([A-Za-z0-9-]+)/([A-Za-z0-9-]+)\.html"', page)
    assert sorted(segmented) == sorted(link for link in links if link[0] == "icoAIS")


def test_versions_are_those_of_the_requirements(page):
    pinned = re.search(r"^nnunetv2==(\S+)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)[1]
    assert f"nnunetv2 {pinned}" in page


def test_the_page_has_the_same_bytes_twice(index_arguments, page, tmp_path):
    index.main([*index_arguments, "--out", str(tmp_path / "index.html")])
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page


def test_every_figure_and_table_has_a_caption():
    for kind in ("table", "cohort_page", *KINDS):
        assert len(index.read_caption(CAPTIONS / f"{kind}.rst")) > 80


def test_few_cases_give_dashes_and_reasons_not_numbers():
    row = {"cohort": "A", "split": "test", "criterion": "all", "member": "ensemble", "arm": "X", "n": "2"}
    row |= dict.fromkeys((name for name in Agreement.__annotations__ if name != "n"), "")
    (_, rows), *_ = content.agreement_sets([row | {"note": "n < 3: neither Spearman nor ICC"}], 3)
    assert (rows[0]["spearman"], rows[0]["icc"], rows[0]["interval"]) == ("", "", "")


def test_tiny_p_values_are_not_written_as_zero():
    row = dict.fromkeys(Comparison.__annotations__, "") | {"cohort": "A", "split": "test", "criterion": "all"}
    row |= {"family": "main", "p": "1e-9", "p_holm": "2e-9"}
    row |= {"mean_difference": "-0.1", "difference_low": "-0.2", "difference_high": "0.05"}
    (_, rows), *_ = content.comparison_families([row], 3)
    assert (rows[0]["raw"], rows[0]["mark"], rows[0]["interval"]) == ("< 0.0001", "***", "−0.200 to +0.050")


def test_means_of_single_trainings_and_of_ranked_arms_have_their_intervals():
    group = {"cohort": "A", "split": "validation", "criterion": "all", "arm": "X", "n": "9"}
    mean = {"mean": "0.5", "mean_low": "0.4", "mean_high": "0.6"}
    (training,) = content.member_rows([group | mean | {"member": "seed-0", "measure": "dice"}], ["seed-0"])
    assert training["means"] == [("0.5000", "0.400 to 0.600")]
    ranked = group | mean | {"rank": "1", "rank_low": "1", "rank_high": "2", "first_share": "0.9"}
    ((_, (arm,)),) = content.rank_sets([ranked], 3)
    assert (arm["mean"], arm["mean_interval"], arm["interval"]) == ("0.500", "0.400 to 0.600", "1 to 2")


def test_the_page_shows_both_grids_side_by_side_as_the_tables_have_them(page, study):
    section = page.split('id="acquired"')[1].split("</details>")[0]
    cells = {}
    for name, column in (("summary", 0), ("acquired_summary", 1)):
        wanted = {"arm": "FS-STKi", "member": "ensemble", "split": "validation", "criterion": "all", "measure": "dice"}
        (row,) = [
            row
            for row in read_tsv(study.path(f"evaluate/{name}.tsv"))
            if all(row[key] == wanted[key] for key in wanted)
        ]
        cells[column] = f"{float(row['mean']):.3f}"
    block = section.split("validation set, all lesions")[1]
    shown = re.findall(r"<td[^>]*>([^<]*)", block.split("FS-STKi")[1])
    assert shown[1:3] == [cells[0], cells[1]]
    assert cells[0] != cells[1]


def test_an_undefined_distance_is_counted_beside_its_mean():
    row = {"cohort": "A", "split": "test", "criterion": "all", "arm": "X", "member": "ensemble", "n": "7"}
    row |= {"measure": "dice", "mean": "0.5", "mean_low": "0.4", "mean_high": "0.6", "missing": "0"}
    ((_, (shown,)),) = grids.grid_sets([row, row | {"measure": "hd95_mm", "mean": "9", "missing": "2"}], [], 3)
    assert shown["cells"][0] == ("0.500", "0.400 to 0.600") and shown["cells"][2] == (
        "9.00",
        "0.40 to 0.60; 2 undefined",
    )


def test_a_verdict_that_depends_on_the_grid_is_counted():
    row = {
        "cohort": "A",
        "split": "test",
        "criterion": "all",
        "family": "f",
        "first": "X",
        "second": "Y",
        "p_holm": "0.04",
    }
    others = [row | {"second": "Z"}, row | {"split": "train"}, row | {"second": "V", "p_holm": ""}]
    assert grids.verdicts([row, *others], [row | {"p_holm": "0.06"}, *others]) == (2, 1)


def test_the_subgroups_say_how_many_intervals_miss_by_chance(page):
    section = page.split('<h2 id="subgroups">')[1].split("<h2")[0]
    assert "no subgroup was promised beforehand" in section
    for group in ("validation set, by side", "test set, by cohort", "upper third"):
        assert group in section
