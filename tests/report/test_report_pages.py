"""The pages hold everything, need nothing from elsewhere, and say what the numbers are not."""

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.common.files import read_json, read_tsv, write_json, write_tsv
from workflow_scripts.common.volume import Volume
from workflow_scripts.ingest.stack import Stack
from workflow_scripts.preprocess import concern
from workflow_scripts.report import (
    case_page,
    cohort_page,
    content,
    figure_cohort,
    figure_dice,
    figure_examples,
    figure_finetune,
    figure_interpretation,
    figure_neighbours,
    figure_pretraining,
    figure_probe,
    figure_quality,
    index,
    panels,
    quality,
    report_settings,
    segmentation_page,
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
    (figure_probe, "probe.svg"),
    (figure_neighbours, "neighbours.png"),
    (figure_quality, "quality.svg"),
)
LINKED = r"(?:\.\./)*(?:index\.html|(?:cases/|segmentations/)?[A-Za-z0-9-]+(?:/[A-Za-z0-9-]+)?\.html)"
OUTSIDE = re.compile(rf"""(?:src|href)\s*=\s*["'](?!data:|#|{LINKED}["'])|https?://|@import|url\(|<script""")


def case_arguments(study, name: str, out: Path) -> list[str]:
    """Arguments of a case's page, given as cohort/case; ``out`` is the page."""
    cohort, case = name.split("/")
    folder, ingest = f"preprocess/{name}", f"ingest/{name}"
    labelled = cohort == "icoAIS"
    images = ("ncct", "mirrored", "difference", "brain", *(["lesion"] if labelled else []))
    mri = ["--mri", "dwi", study.path(folder, "registered_dwi.nii.gz")] if labelled else []
    return [
        *("--cohort", cohort, "--case", case, "--title", "Study", "--notice", "All of it is <artificial>.", *mri),
        *("--qc", study.path(folder, "qc.json"), "--unstripped", study.path(folder, "resampled_ncct.nii.gz")),
        *("--ingest-json", study.path(ingest, "ncct.json"), "--upright", study.path(ingest, "ncct.nii.gz")),
        *("--brain-mask", study.path(folder, "brain_mask.nii.gz")),
        *(part for image in images for part in (f"--{image}", study.path(folder, f"{image}.nii.gz"))),
        *("--out-page", str(out), "--out-thumbnail", str(out.with_suffix(".svg"))),
    ]


def case_text(study, name: str, out: Path) -> str:
    case_page.main(case_arguments(study, name, out))
    return out.read_text(encoding="utf-8")


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
        *("--audits", str(folder / "audit.json"), "--probes", study.path("pretrain/ALL-SA/probe.tsv")),
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


@pytest.mark.parametrize("kind", ["interpretation", "pretraining"])
def test_a_study_without_a_figure_has_a_page_without_it(index_arguments, tmp_path, kind):
    kept = [word for word in index_arguments if not Path(word).name.startswith(f"{kind}.")]
    assert len(kept) < len(index_arguments)
    index.main([*kept, "--out", str(tmp_path / "index.html")])
    assert len(re.findall("<figcaption>", (tmp_path / "index.html").read_text())) == len(FIGURES) - 1


def test_the_notice_stands_on_top_and_at_every_table_of_results(page):
    notice = "Every head in this report is a phantom"
    assert page.index(f'<p class="notice" role="note">{notice}') < page.index("<h2")
    assert page.count('<p class="table-notice">') == 5
    assert "snakemake" not in page.split("Versions that this workflow pins")[0]


def test_the_page_says_whom_each_pretraining_saw(page):
    assert "Pretraining ALL-SA saw 8 patients (9 cases) of the splits train" in page
    assert "Of 5 validation and test patients it saw none." in page


def test_the_page_says_what_the_features_tell_of_how_many_heads(page):
    size, _, side, _, sex, _ = re.findall(r'<tr><td class="text">(?:size|side|sex)</td>.*', page)
    assert '<td class="text">linear probe</td><td>12</td><td>14</td><td>7</td><td>0.60 (0.30 to 0.80)</td>' in size
    assert "<td>−0.02 (−0.32 to 0.18)</td>" in size
    assert '<td class="best">+0.62 (+0.32 to +0.82)</td>' in size
    assert "best" not in side, "an interval that holds 0 is no evidence"
    assert sex.count("<td>–</td>") == 3 and "too few patients" in sex


def test_a_study_without_probes_says_so(index_arguments, study, tmp_path):
    given = ("--probes", study.path("pretrain/ALL-SA/probe.tsv"))
    kept = [word for word in index_arguments if word not in given and Path(word).stem not in ("probe", "neighbours")]
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
        if (row["member"], row["split"], row["criterion"]) == ("ensemble", "test", "over3ml")
        and row["arm"] == "FS-STKi"
    )
    of = f" of {row['cases']} labelled cases" if row["n"] != row["cases"] else ""
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


def test_a_page_has_the_same_bytes_twice(index_arguments, page, study, tmp_path):
    index.main([*index_arguments, "--out", str(tmp_path / "index.html")])
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page
    pages = [case_text(study, "icoAIS/S01", tmp_path / name) for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_the_page_of_a_case_shows_every_step_flags_and_numbers(study, tmp_path):
    text = case_text(study, "icoAIS/S04", tmp_path / "S04.html")
    for title in ("The scan, acquired", "Brain mask", "DWI on the NCCT", "The other hemisphere", "Lesion mask"):
        assert f"<h2>{title}" in text
    assert "<h2>1 flag</h2>" in text
    assert quality.FLAGS["brain masks disagree"].text in text
    assert "<td>0.800</td><td>0.930</td>" in text
    assert "28 slices of 30 × 36 pixels of 6 mm, 6 mm apart, no gantry tilt." in text
    assert "All of it is &lt;artificial&gt;." in text


def test_every_picture_of_a_case_is_on_its_page_once_and_nothing_comes_from_elsewhere(study, tmp_path):
    text = case_text(study, "icoAIS/S04", tmp_path / "S04.html")
    shown, held = re.findall(r'<use href="#([^"]+)"', text), re.findall(r'<image id="([^"]+)"', text)
    assert set(shown) == set(held)
    assert len(held) == len(set(held)) < len(shown)
    assert OUTSIDE.findall(text) == []
    assert len(text.encode()) < 1_500_000


def test_nccts_and_mri_alternate_without_a_script(study, tmp_path):
    text = case_text(study, "icoAIS/S04", tmp_path / "S04.html")
    flicker = text[text.index("<h2>DWI on the NCCT") : text.index("<h2>The other hemisphere")]
    assert flicker.count('class="layer-1"') == flicker.count('class="layer-2"') == 8
    assert flicker.count('href="#ncct-') == flicker.count('href="#dwi-') == 8
    assert "@keyframes flicker" in text


def test_the_page_of_a_case_without_flag_says_so(study, tmp_path):
    text = case_text(study, "icoAIS/S01", tmp_path / "S01.html")
    assert "<h2>No flag</h2>" in text
    assert 'class="flag"' not in text


def test_the_page_of_an_unlabelled_case_has_no_lesion(study, tmp_path):
    text = case_text(study, "CENTER-TBI/S01", tmp_path / "page.html")
    assert "<h2>Lesion mask</h2>" not in text
    assert "lesion volume" not in text
    assert 'class="lesion"' not in text


def test_a_tilted_gantry_shears_the_stack_as_acquired():
    """A rod across slices that are tilted by 20 degrees leans by 20 degrees where they are stacked straight."""
    tilt = np.deg2rad(20)
    affine = np.array([[4, 0, 0, -40], [0, 2 * np.cos(tilt), 0, -60], [0, 2 * np.sin(tilt), 4, -40], [0, 0, 0, 1]])
    stack = Stack.of_grid((21, 61, 21), affine)
    grid = np.diag([2.0, 1, 1, 1])
    grid[:3, 3] = (-40, -60, -50)
    _, y, z = np.indices((41, 121, 101)) + np.array([0, -60, -50])[:, None, None, None]
    upright = Volume(np.where(np.abs(y + np.tan(tilt) * z) < 5, 100, 0).astype(np.float32), grid)
    found = panels.acquired_sagittal(stack, upright, np.zeros(3))
    y, z = np.nonzero(found.data[0] > 50)
    lean = np.polyfit(z * found.spacing[2], y * found.spacing[1], 1)[0]
    assert np.degrees(np.arctan(lean)) == pytest.approx(-20, abs=2)
    assert np.allclose(found.affine[:3, :3], np.diag([4, 2, 4 * np.cos(tilt)]))


def test_the_acquisition_is_told_in_words():
    affine = np.array([[0.5, 0, 0, 0], [0, 0.5, -1.0, 0], [0, 0, 5, 0], [0, 0, 0, 1]])
    stack = Stack.of_grid((512, 512, 30), affine)
    told = case_page.acquisition(stack)
    assert told == "30 slices of 512 × 512 pixels of 0.5 mm, 5 mm apart, gantry tilt −11.3°."
    origins = stack.origins.copy()
    origins[20:] += [0, 0, 2.5]
    assert "5 to 7.5 mm apart" in case_page.acquisition(replace(stack, origins=origins))


@pytest.fixture
def cohort(study, tmp_path) -> str:
    cases = [row["case"] for row in study.rows if row["cohort"] == "icoAIS"]
    for case in cases:
        case_page.main(case_arguments(study, f"icoAIS/{case}", tmp_path / f"{case}.html"))
    arguments = ["--title", "Study", "--notice", "A <notice>", "--cohort", "icoAIS", "--cases", *cases]
    arguments += ["--preprocess", study.path("preprocess"), "--thumbnails", str(tmp_path)]
    cohort_page.main([*arguments, "--out", str(tmp_path / "icoAIS.html")])
    return (tmp_path / "icoAIS.html").read_text(encoding="utf-8")


def test_the_page_of_a_cohort_lists_every_case_with_pictures_the_flagged_one_first(cohort, study):
    listed = re.findall(r'<h3><a href="icoAIS/([A-Za-z0-9-]+)\.html">', cohort)
    assert listed[0] == "S04"
    assert sorted(listed) == sorted(row["case"] for row in study.rows if row["cohort"] == "icoAIS")
    assert cohort.count("<image ") == 2 * len(listed)
    assert "12 cases, 1 with a flag" in cohort
    assert cohort.count('<li class="flagged">') == 1
    assert "A &lt;notice&gt;" in cohort
    assert OUTSIDE.findall(cohort) == []


def test_the_page_of_a_large_cohort_stays_small(study, tmp_path):
    """A thousand cases, each with a flag; small pictures as they are at 1 mm take 8 kB."""
    facts = read_json(study.path("preprocess/icoAIS/S04/qc.json"))
    names = [f"X{number:04d}" for number in range(1000)]
    for name in names:
        write_json(tmp_path / "big" / name / "qc.json", facts | {"case": name})
        (tmp_path / f"{name}.svg").write_text(f"<svg>{'x' * 8000}</svg>")
    arguments = ["--title", "Study", "--cohort", "big", "--cases", *names, "--preprocess", str(tmp_path)]
    cohort_page.main([*arguments, "--thumbnails", str(tmp_path), "--out", str(tmp_path / "big.html")])
    text = (tmp_path / "big.html").read_text(encoding="utf-8")
    assert len(re.findall("<li ", text)) == 1000
    assert len(text.encode()) < 1_500_000


def test_the_page_of_a_segmented_case_outlines_the_reference_and_each_arm(study, tmp_path):
    folder = "preprocess/icoAIS/S04"
    arguments = ["--cohort", "icoAIS", "--case", "S04", "--title", "Study", "--out", str(tmp_path / "page.html")]
    for name in ("ncct", "brain", "lesion"):
        arguments += [f"--{name}", study.path(folder, f"{name}.nii.gz")]
    for arm in ("FS-STKi", "ALL-STKi-SA"):
        arguments += ["--segmentation", arm, study.path("segment", arm, "ensemble/icoAIS/S04.nii.gz")]
    segmentation_page.main(arguments)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("reference", "FS-STKi", "ALL-STKi-SA"):
        assert f'<path class="mask-{name}" d="M' in text
        assert re.search(rf"path\.mask-{name} {{ stroke: #[0-9A-F]{{6}}; }}", text)
    assert OUTSIDE.findall(text) == []


def test_every_flag_of_the_preprocessing_has_a_meaning():
    worst = {"cross_check_dice": 0, "hull_excess": 9, "brain_ml": 0, "tissue_beyond_mm": 20, "end_share": 1}
    worst |= {"mri_offset_mm": 20, "mri_side_ratio": 0.2, "lesion_outside_brain_fraction": 1, "lesion_darker_hu": -9}
    worst |= {"registration": {"doubts": ["stretch"]}, "contralateral": {"doubts": ["stretch"]}}
    limits = concern.Limits(0.9, 0.2, (800, 2200), 5, 0.3, 8, 0.9, 0.1, -2)
    # Where an MRI is misplaced, its fit to either side is not judged.
    judged = [concern.checks(worst | {"mri_offset_mm": offset}, limits) for offset in (0, 20)]
    assert {flag for checks in judged for flag in concern.flags(checks)} == set(quality.FLAGS)


def test_every_figure_and_table_has_a_caption():
    for kind in ("table", "case", "cohort_page", *(name.split(".")[0].split("-")[0] for _, name in FIGURES)):
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
