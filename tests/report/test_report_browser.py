"""The pages in a browser: silent, alone, linked, narrow, accessible; also with hostile texts."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from tests.report import new_patient, parts
from tests.report.test_report_case_pages import case_arguments
from workflow_scripts.common.files import read_yaml, write_yaml
from workflow_scripts.report import case_page, cohort_page, index, new_patient_page, segmentation_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup` does that")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: `make setup` does that"
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 4
MARKUP = f"<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" {LONG}"
PAGES = (
    "index.html",
    "cases/icoAIS.html",
    "cases/icoAIS/S04.html",
    "segmentations/icoAIS/S10.html",
    "new/patient.html",
)
ARM, LONG_ARM = "ALL-STKi-SA", "ALL-STKi-SA-" + "very-long-name-of-an-arm-" * 4 + "x"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        found = next(filter(None, map(shutil.which, NAMES)), None) or started.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("no Chromium on this machine: `make browser` installs one; the pages were not opened")
        # Chromium has no sandbox for root.
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield launched
        launched.close()


def build(study, folder: Path, arguments: list[str], title: str) -> Path:
    """Write a report with every page that the index links to; one page of a kind stands for its like."""
    report = folder / "report"
    index.main([*arguments, "--out", str(report / "index.html")])
    case_page.main(case_arguments(study, "icoAIS/S04", report / "cases" / "icoAIS" / "S04.html"))
    images = [study.path(f"preprocess/icoAIS/S10/{name}.nii.gz") for name in ("ncct", "brain", "lesion")]
    segmentation_page.main(
        [
            *("--cohort", "icoAIS", "--case", "S10", "--title", title, "--splits", study.path("split/splits.tsv")),
            *(
                word
                for name, path in zip(("ncct", "brain", "lesion"), images, strict=True)
                for word in (f"--{name}", path)
            ),
            *("--segmentation", ARM, study.path(f"segment/{ARM}/ensemble/icoAIS/S10.nii.gz"), "--test-arms", ARM),
            *("--out", str(report / "segmentations" / "icoAIS" / "S10.html")),
        ]
    )
    images, page = folder / "new", report / "new" / "patient.html"
    images.mkdir()
    new_patient_page.main(new_patient.page_arguments(images, page, title))
    for row in study.rows:
        cohort, case = row["cohort"], row["case"]
        for kind, like in (("cases", "S04"), *([("segmentations", "S10")] if cohort == "icoAIS" else [])):
            page, model = report / kind / cohort / f"{case}.html", report / kind / "icoAIS" / f"{like}.html"
            if not page.exists():
                page.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(model, page)
            thumbnail = page.with_suffix(".svg")
            if kind == "cases" and not thumbnail.exists():
                shutil.copy(model.with_suffix(".svg"), thumbnail)
    for cohort in dict.fromkeys(row["cohort"] for row in study.rows):
        cases = [row["case"] for row in study.rows if row["cohort"] == cohort]
        options = ["--title", title, "--cohort", cohort, "--cases", *cases, "--preprocess", study.path("preprocess")]
        page = report / "cases" / f"{cohort}.html"
        cohort_page.main([*options, "--thumbnails", str(page.with_suffix("")), "--out", str(page)])
    return report


@pytest.fixture(scope="module")
def report(study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    return build(study, folder, parts.index_arguments(study, folder), "Study")


@pytest.fixture(scope="module")
def hostile(study, tmp_path_factory) -> Path:
    """The same with markup and very long words wherever a user may write, and a very long name of an arm."""
    folder = tmp_path_factory.mktemp("hostile")
    arguments = parts.index_arguments(study, folder)
    for stage in ("evaluate", "finetune"):
        shutil.copytree(study.path(stage), folder / stage)
        arguments[arguments.index(f"--{stage}") + 1] = str(folder / stage)
    (folder / "finetune" / ARM).rename(folder / "finetune" / LONG_ARM)
    for table in (*(folder / "evaluate").glob("*.tsv"), folder / "table1.tsv", folder / "table3.tsv"):
        table.write_text(table.read_text().replace(ARM, LONG_ARM))
    settings = read_yaml(study.path("report/settings.yaml"))
    settings |= {"title": MARKUP, "notice": MARKUP}
    settings["excluded"] = [{"cohort": "icoAIS", "case": f"X{number}", "reason": MARKUP} for number in range(40)]
    settings["arms"] = {name.replace(ARM, LONG_ARM): arm for name, arm in settings["arms"].items()}
    write_yaml(folder / "settings.yaml", settings)
    arguments[arguments.index("--settings") + 1] = str(folder / "settings.yaml")
    cells = {"cohort": "icoAIS", "case": "S01", MARKUP: MARKUP, "age": "70"}
    (folder / "clinical.tsv").write_text("\n".join("\t".join(map(repr_tsv, part)) for part in (cells, cells.values())))
    return build(study, folder, [*arguments, "--clinical", str(folder / "clinical.tsv")], MARKUP)


def repr_tsv(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@pytest.fixture(params=["report", "hostile"])
def site(request) -> Path:
    return request.getfixturevalue(request.param)


def opened(browser, page: Path, size: dict[str, int] = DESK, scheme: str = "light"):
    """Open a page with everything unfolded; returns it, what it said, and what it asked for."""
    tab = browser.new_page(viewport=size, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    return tab, said, asked


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_silent_asks_for_nothing_and_fits_a_phone(browser, site, name):
    tab, said, asked = opened(browser, site / name, PHONE)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(site / name).as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(browser, report, name):
    tab, *_ = opened(browser, report / name)
    links = tab.evaluate("[...document.querySelectorAll('a[href]')].map((one) => one.href)")
    assert links
    for target, fragment in {tuple(urldefrag(link)) for link in links}:
        path = Path(unquote(urlparse(target).path))
        assert path.is_file(), target
        assert not fragment or f'id="{fragment}"' in path.read_text("utf-8"), f"{target}#{fragment}"
    tab.close()


@pytest.mark.parametrize(("name", "scheme"), [*((name, "light") for name in PAGES), ("index.html", "dark")])
def test_axe_finds_nothing_serious(browser, report, name, scheme):
    tab, *_ = opened(browser, report / name, scheme=scheme)
    found = axe.Axe().run(tab).response["violations"]
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    tab.close()


def test_paper_shows_what_is_folded_and_cuts_no_table(browser, hostile):
    tab, *_ = opened(browser, hostile / "index.html", {"width": 1032, "height": 700})  # A4 across, without margins
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("#comparisons ~ details p").first.is_visible()
    cut = "[...document.querySelectorAll('table')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
    assert tab.evaluate(f"{cut}.map((one) => one.caption.innerText.slice(0, 60))") == []
    tab.close()


def test_tables_are_sorted_by_the_keyboard(browser, report):
    tab, *_ = opened(browser, report / "index.html")
    heading = tab.locator("#case-list thead th").nth(2)
    for direction in ("ascending", "descending"):
        heading.locator("button").focus()
        tab.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == direction
        cells = tab.locator("#case-list tbody tr td:nth-child(3)").all_inner_texts()
        numbers = [float(cell) for cell in cells]
        assert len(set(numbers)) > 1 and numbers == sorted(numbers, reverse=direction == "descending")
    tab.close()


def test_the_list_of_cases_is_filtered_by_what_is_typed(browser, report):
    tab, *_ = opened(browser, report / "index.html")
    tab.locator("input[type=search]").fill("CENTER-TBI/S0")
    assert tab.locator("#case-list tbody tr:visible").count() == 4
    tab.close()


def test_texts_of_users_are_shown_as_they_are_written(browser, hostile):
    tab, *_ = opened(browser, hostile / "index.html")
    assert tab.title() == MARKUP and tab.locator("h1").inner_text() == MARKUP
    assert tab.locator("img:not([src^='data:'])").count() == 0
    assert tab.locator("script").count() == 1
    tab.close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_what_a_new_patients_page_is_not_for_stays_in_view(browser, report, size):
    tab, *_ = opened(browser, report / "new" / "patient.html", size)
    for place in (0, "document.body.scrollHeight"):
        tab.evaluate(f"scrollTo({{top: {place}, behavior: 'instant'}})")
        box = tab.locator("p.warning").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"]
        assert "RESEARCH USE ONLY" in tab.locator("p.warning").inner_text()
    tab.close()
