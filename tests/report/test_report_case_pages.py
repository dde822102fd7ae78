"""The pages of cases, cohorts and segmentations show every step and need nothing from elsewhere."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.preprocess.settings import LIMITS
from tests.report.parts import OUTSIDE
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.quality import checks as concern
from workflow_scripts.report import case_page, cohort_page, segmentation_page
from workflow_scripts.report.drawing import panels
from workflow_scripts.report.pages import quality


def case_arguments(study, name: str, out: Path) -> list[str]:
    """Arguments of a case's page, given as cohort/case; ``out`` is the page."""
    cohort, case = name.split("/")
    folder, ingest = f"preprocess/{name}", f"ingest/{name}"
    labelled = cohort == "icoAIS"
    images = ("ncct", "mirrored", "difference", "brain", *(["lesion"] if labelled else []))
    mri = ["--mri", "dwi", study.path(folder, "registered_dwi.nii.gz")] if labelled else []
    return [
        *("--cohort", cohort, "--case", case, "--title", "Study", "--notice", "All of it is <artificial>.", *mri),
        *("--case-json", study.path(folder, "case.json")),
        *("--ingest-json", study.path(ingest, "ncct.json"), "--upright", study.path(ingest, "ncct.nii.gz")),
        *("--brain-mask", study.path(folder, "brain_mask.nii.gz")),
        *(part for image in images for part in (f"--{image}", study.path(folder, f"{image}.nii.gz"))),
        *("--out-page", str(out), "--out-thumbnail", str(out.with_suffix(".svg"))),
    ]


def case_text(study, name: str, out: Path) -> str:
    case_page.main(case_arguments(study, name, out))
    return out.read_text(encoding="utf-8")


def test_the_page_of_a_case_has_the_same_bytes_twice(study, tmp_path):
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
    assert told == "30 slices of 512 × 512 pixels of 0.5 mm, 5 mm apart, gantry tilt −11.3°, moved into line."
    origins = stack.origins.copy()
    origins[20:] += [0, 0, 2.5]
    assert "5 to 7.5 mm apart and interpolated to one distance" in case_page.acquisition(
        replace(stack, origins=origins)
    )


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
    described = read_json(study.path("preprocess/icoAIS/S04/case.json"))
    names = [f"X{number:04d}" for number in range(1000)]
    for name in names:
        write_json(tmp_path / "big" / name / "case.json", described | {"facts": described["facts"] | {"case": name}})
        (tmp_path / f"{name}.svg").write_text(f"<svg>{'x' * 8000}</svg>")
    arguments = ["--title", "Study", "--cohort", "big", "--cases", *names, "--preprocess", str(tmp_path)]
    cohort_page.main([*arguments, "--thumbnails", str(tmp_path), "--out", str(tmp_path / "big.html")])
    text = (tmp_path / "big.html").read_text(encoding="utf-8")
    assert len(re.findall("<li ", text)) == 1000
    assert len(text.encode()) < 1_500_000


def segmented(study, out, case, *test_arms):
    """The page of a case that two arms segmented."""
    folder = f"preprocess/icoAIS/{case}"
    arguments = ["--cohort", "icoAIS", "--case", case, "--title", "Study", "--out", str(out)]
    arguments += ["--splits", study.path("split/splits.tsv"), "--test-arms", *test_arms]
    for name in ("ncct", "brain", "lesion"):
        arguments += [f"--{name}", study.path(folder, f"{name}.nii.gz")]
    for arm in ("FS-STKi", "ALL-STKi-SA"):
        arguments += ["--segmentation", arm, study.path("segment", arm, f"ensemble/icoAIS/{case}.nii.gz")]
    segmentation_page.main(arguments)
    return out.read_text(encoding="utf-8")


def test_the_page_of_a_test_case_shows_the_arms_that_are_tested_and_no_other(study, tmp_path):
    text = segmented(study, tmp_path / "page.html", "S12", "FS-STKi")
    assert 'class="mask-FS-STKi"' in text
    assert "ALL-STKi-SA" not in text


def test_the_page_of_a_segmented_case_outlines_the_reference_and_each_arm(study, tmp_path):
    text = segmented(study, tmp_path / "page.html", "S04")
    for name in ("reference", "FS-STKi", "ALL-STKi-SA"):
        assert f'<path class="mask-{name}" d="M' in text
        assert re.search(rf"path\.mask-{name} {{ stroke: #[0-9A-F]{{6}}; }}", text)
    assert OUTSIDE.findall(text) == []


def test_every_flag_of_the_preprocessing_has_a_meaning():
    worst = {"cross_check_dice": 0, "hull_excess": 9, "brain_ml": 0, "tissue_beyond_mm": 20, "end_share": 1}
    worst |= {
        "missing_slices": 2,
        "broken_forms": 1,
        "metal_ml": 1,
        "marks": ["overlay"],
        "not_native": ["monoenergetic"],
        "gap_over_thickness": 2.0,
        "lesion_ml": 900,
        "skull_gap_cm2": 60,
        "slice_mm": 10,
    }
    worst |= {"mri_offset_mm": 20, "mri_side_ratio": 0.2, "lesion_outside_brain_fraction": 1, "lesion_darker_hu": -9}
    worst |= {"registration": {"doubts": ["stretch"], "deformation_mm": 3}, "contralateral": {"doubts": ["stretch"]}}
    # Where an MRI is misplaced, its fit to either side is not judged.
    judged = [concern.checks(worst | {"mri_offset_mm": offset}, LIMITS) for offset in (0, 20)]
    assert {flag for checks in judged for flag in concern.flags(checks)} == set(quality.FLAGS)
