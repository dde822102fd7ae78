"""The pages hold everything, need nothing from elsewhere, and say what the numbers are not."""

import html
import re
from pathlib import Path

import pytest

from workflow_scripts.common.files import read_tsv, write_json, write_tsv
from workflow_scripts.preprocess import qc
from workflow_scripts.report import (
    case_page,
    content,
    figure_cohort,
    figure_dice,
    figure_examples,
    figure_finetune,
    figure_interpretation,
    figure_pretraining,
    figure_quality,
    index,
    quality,
    report_settings,
    table,
)

ROOT = Path(__file__).parents[2]
FIGURES = (
    (figure_cohort, "cohort.svg"),
    (figure_dice, "dice-icoAIS-validation.svg"),
    (figure_examples, "examples-icoAIS.png"),
    (figure_finetune, "finetune.svg"),
    (figure_pretraining, "pretraining.svg"),
    (figure_interpretation, "interpretation.png"),
    (figure_quality, "quality.svg"),
)
OUTSIDE = re.compile(r"""(?:src|href)\s*=\s*["'](?!data:|#|cases/|\.\./\.\./index\.html)|https?://|@import|url\(""")


def case_arguments(study, case: str) -> list[str]:
    folder = f"preprocess/icoAIS/{case}"
    images = ("ncct", "mirrored", "difference", "brain", "lesion")
    return [
        *("--cohort", "icoAIS", "--case", case, "--title", "Study", "--notice", "All of it is <artificial>."),
        *("--qc", study.path(folder, "qc.json"), "--unstripped", study.path(folder, "resampled_ncct.nii.gz")),
        *("--brain-mask", study.path(folder, "brain_mask.nii.gz")),
        *(part for name in images for part in (f"--{name}", study.path(folder, f"{name}.nii.gz"))),
        *("--mri", "dwi", study.path(folder, "registered_dwi.nii.gz")),
        *("--segmentation", "FS-STKi", study.path("segment/FS-STKi/ensemble/icoAIS", f"{case}.nii.gz")),
    ]


@pytest.fixture(scope="module")
def index_arguments(study, tmp_path_factory) -> list[str]:
    """Tables from the study; one small picture stands for all figures, which have tests of their own."""
    folder = tmp_path_factory.mktemp("parts")
    tables = []
    for name, split, criteria in (("table1", "validation", ["all"]), ("table3", "test", ["all", "over3ml"])):
        tables.append(str(folder / f"{name}.tsv"))
        summary = study.path("evaluate/summary.tsv")
        rows = table.make_table(read_tsv(summary), ["FS-STKi", "ALL-STKi-SA"], split, criteria)
        write_tsv(tables[-1], rows, table.COLUMNS)
    for _, name in FIGURES:
        (folder / name).write_bytes(f"<svg id='{name}'/>".encode())
    counts = {"cases": 9, "patients": 8}
    audit = {"pretraining": "ALL-SA", "splits": ["train"], "gradients": counts, "statistics": counts}
    write_json(folder / "audit.json", audit | {"held_out_patients": 5, "held_out_patients_seen": 0})
    return [
        *("--settings", study.path("report/settings.yaml"), "--split", study.path("split")),
        *("--audits", str(folder / "audit.json")),
        *("--preprocess", study.path("preprocess"), "--evaluate", study.path("evaluate"), "--tables", *tables),
        *("--figures", *(str(folder / name) for _, name in FIGURES)),
        *("--captions", str(ROOT / "rules/captions"), "--requirements", str(ROOT / "requirements.txt")),
    ]


@pytest.fixture(scope="module")
def page(index_arguments, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("page") / "index.html"
    index.main([*index_arguments, "--out", str(out)])
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "section",
    [
        *("brief", "methods", "cohort", "results", "comparisons", "agreement", "examples", "training"),
        *("interpretation", "quality", "software"),
    ],
)
def test_the_page_holds_every_section_and_its_contents_link_to_it(page, section):
    assert f'<h2 id="{section}">' in page
    assert f'href="#{section}"' in page


def test_the_page_holds_every_figure_with_its_caption_and_needs_nothing_from_elsewhere(page):
    assert len(re.findall(r'<img src="data:image/(?:svg\+xml|png);base64,', page)) == len(FIGURES)
    assert len(re.findall(r"<figcaption>[^<]{40,}</figcaption>", page)) == len(FIGURES)
    assert OUTSIDE.findall(page) == []
    assert "<script" not in page


def test_the_notice_stands_on_top_and_at_every_table_of_results(page):
    notice = "Every head in this report is a phantom"
    assert page.index(f'<p class="notice" role="note">{notice}') < page.index("<h2")
    assert page.count('<p class="table-notice">') == 4
    assert "snakemake" not in page.split("Versions that this workflow pins")[0]


def test_the_page_says_whom_each_pretraining_saw(page):
    assert "Pretraining ALL-SA saw 8 patients (9 cases) of the splits train" in page
    assert "Of 5 validation and test patients it saw none." in page


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
        if (row["member"], row["split"], row["criterion"]) == ("ensemble", "test", "over3ml")
        and row["arm"] == "FS-STKi"
    )
    of = f" of {row['cases']} labelled cases" if row["n"] != row["cases"] else ""
    assert f"icoAIS, lesions &gt; 3 mL (n = {row['n']}{of})" in page


def test_every_case_is_linked_the_flagged_one_first(page, study):
    links = re.findall(r'href="cases/([A-Za-z0-9-]+)/([A-Za-z0-9-]+)\.html"', page)
    assert sorted(links) == sorted((row["cohort"], row["case"]) for row in study.rows)
    assert links[0] == ("icoAIS", "S04")


def test_versions_are_those_of_the_requirements(page):
    pinned = re.search(r"^nnunetv2==(\S+)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)[1]
    assert f"nnunetv2 {pinned}" in page


def test_a_page_has_the_same_bytes_twice(index_arguments, page, study, tmp_path):
    index.main([*index_arguments, "--out", str(tmp_path / "index.html")])
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page
    pages = []
    for name in ("a.html", "b.html"):
        case_page.main([*case_arguments(study, "S01"), "--out", str(tmp_path / name)])
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_the_page_of_a_case_shows_every_step_flags_and_numbers(study, tmp_path):
    out = tmp_path / "S04.html"
    case_page.main([*case_arguments(study, "S04"), "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    for title in ("Scan and brain mask", "Mirrored image", "Difference", "DWI registered", "Lesion"):
        assert f"<h3>{title}" in text
    assert "brain masks disagree" in text
    assert quality.FLAGS["brain masks disagree"] in text
    assert "All of it is &lt;artificial&gt;." in text
    assert OUTSIDE.findall(text) == []
    assert out.stat().st_size < 1_500_000


def test_the_page_of_an_unlabelled_case_has_no_lesion(study, tmp_path):
    arguments = case_arguments(study, "S01")
    folder = "preprocess/CENTER-TBI/S01"
    kept = arguments[: arguments.index("--lesion")]
    kept = [part.replace(study.path("preprocess/icoAIS/S01"), study.path(folder)) for part in kept]
    case_page.main([*kept, "--cohort", "CENTER-TBI", "--out", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h3>Lesion</h3>" not in text
    assert "lesion volume" not in text


def test_every_flag_of_the_preprocessing_has_a_meaning():
    worst = {"cross_check_dice": 0, "hull_excess": 9, "brain_ml": 0, "lesion_outside_brain_fraction": 1}
    worst |= {"registration": {"doubts": ["stretch"]}, "contralateral": {"doubts": ["stretch"]}}
    assert set(qc.flags(worst, qc.Limits(0.9, 0.2, (800, 2200), 0.1))) == set(quality.FLAGS)


def test_every_figure_and_table_has_a_caption():
    for kind in ("table", *(name.split(".")[0].split("-")[0] for _, name in FIGURES)):
        assert len(index.read_caption(ROOT / "rules/captions", kind)) > 80


def test_few_cases_give_dashes_and_reasons_not_numbers():
    row = {"cohort": "A", "split": "test", "criterion": "all", "member": "ensemble", "arm": "X", "n": "2"}
    row |= dict.fromkeys(("spearman", "spearman_p", "icc", "icc_low", "icc_high"), "")
    (_, rows), *_ = content.agreement_sets([row | {"note": "n < 3: neither Spearman nor ICC"}], 3)
    assert (rows[0]["spearman"], rows[0]["icc"], rows[0]["interval"]) == ("", "", "")


def test_tiny_p_values_are_not_written_as_zero():
    row = {"cohort": "A", "split": "test", "criterion": "all", "p": "1e-9", "p_holm": "2e-9", "shapiro_p": "0.2"}
    row |= {"mean_difference": "-0.1", "difference_low": "-0.2", "difference_high": "0.05", "rank_biserial": "-1"}
    (_, rows), *_ = content.comparison_families([row], 3)
    assert (rows[0]["raw"], rows[0]["mark"], rows[0]["interval"]) == ("< 0.0001", "***", "−0.200 to +0.050")


def test_settings_are_written_as_given(tmp_path):
    report_settings.main(["--settings", '{"title": "a {b}", "notice": null}', "--out", str(tmp_path / "s.yaml")])
    assert (tmp_path / "s.yaml").read_text() == "title: a {b}\nnotice: null\n"
