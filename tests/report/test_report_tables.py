"""Tables 1–3 have the paper's form, mark the best honestly, and say n."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from workflow_scripts.common.files import read_tsv
from workflow_scripts.evaluate.measures.description import Description
from workflow_scripts.evaluate.summarise import AGREEMENT_COLUMNS, SUMMARY_COLUMNS
from workflow_scripts.report import table
from workflow_scripts.report.tables.formats import Heading, latex, markdown
from workflow_scripts.report.tables.numbers import significance
from workflow_scripts.report.tables.reference import beside

PAPER = Path(table.__file__).parent / "tables" / "paper.tsv"
LEVELS = ("--min-component-ml", "3", "--confidence", "0.95", "--selected-on", "validation")
MARKUP = "50 % of <b>A_1 & B</b> | {x} ~ $y$ #2 \\end{table} ≤ −1"

GROUP = {"member": "ensemble", "cohort": "A", "split": "validation", "criterion": "all"}
DICE, HD95, VOLUME = (measure.source for measure in table.MEASURES)


def summary_rows(arm: str, values: dict[str, dict[str, str]] | None = None, **group: str) -> list[dict[str, str]]:
    """The rows of an arm in the summary, changed by measure as ``values`` says."""
    row = dict.fromkeys(SUMMARY_COLUMNS, "0.25") | GROUP | {"arm": arm, "cases": "29", "scored": "29", "n": "29"}
    row |= {"missing": "0", "note": ""} | group
    return [row | {"measure": measure} | (values or {}).get(measure, {}) for measure in (DICE, HD95, VOLUME)]


def make(
    *rows: list[dict[str, str]], arms: Sequence[str] = "XY", agreed: dict[str, str] | None = None
) -> list[dict[str, str]]:
    agreement = [
        dict.fromkeys(AGREEMENT_COLUMNS, "") | GROUP | {"arm": arm, "spearman": "0.5234"} | (agreed or {})
        for arm in arms
    ]
    return table.make_table([*chain(*rows)], agreement, list(arms), "validation", ["all"], "validation")


def best(rows: list[dict[str, str]]) -> dict[str, set[str]]:
    return {row["experiment"]: set(row["best"].split(",")) for row in rows}


def test_numbers_have_the_decimals_of_the_paper_and_each_its_interval():
    values = {DICE: {"mean": "0.255414", "mean_low": "0.2", "mean_high": "0.31"}}
    agreed = {"spearman_low": "-0.1", "spearman_high": "0.8"}
    row = make(summary_rows("X", values), arms="X", agreed=agreed)[0]
    assert (row["dsc_mean"], row["dsc_mean_interval"]) == ("0.2554", "0.2000 to 0.3100")
    assert (row["dsc_median_iqr"], row["dsc_median_iqr_interval"]) == ("0.250 (0.250)", "0.250 to 0.250")
    assert (row["hd95_median_iqr_mm"], row["avd_mean_ml"]) == ("0.25 (0.25)", "0.25")
    assert (row["corr"], row["corr_interval"], row["icc"]) == ("0.52", "−0.10 to 0.80", "")
    assert {f"{name}_interval" for name in table.ESTIMATES} <= set(row)


def test_best_is_the_highest_dice_and_the_lowest_distance_ties_included():
    first = summary_rows("X", {DICE: {"mean": "0.30004"}, HD95: {"mean": "40"}})
    made = best(make(first, summary_rows("Y", {DICE: {"mean": "0.30001"}}), arms="YX"))
    assert list(made) == ["Y", "X"]
    assert "dsc_mean" in made["X"] & made["Y"]
    assert "hd95_mean_mm" in made["Y"] - made["X"]


def test_no_hd95_is_best_where_the_arms_miss_different_numbers_of_lesions():
    first = summary_rows("X", {HD95: {"missing": "3", "mean": "1"}})
    made = best(make(first, summary_rows("Y", {HD95: {"penalised_mean": "0.1"}})))
    assert not {"hd95_mean_mm", "hd95_median_iqr_mm"} & (made["X"] | made["Y"])
    assert "hd95_penalised_mean_mm" in made["Y"]


def test_nothing_is_best_alone():
    assert make(summary_rows("X"), arms="X")[0]["best"] == ""


def test_the_spread_over_seeds_leaves_the_ensemble_out():
    rows = summary_rows("X", {DICE: {"mean": "0.9"}})
    for seed in range(3):
        rows += summary_rows("X", {DICE: {"mean": str(0.2 + 0.1 * seed)}}, member=f"seed-{seed}")
    assert make(rows, arms="X")[0]["dsc_mean_of_seeds"] == "0.200–0.400"


def test_a_criterion_without_cases_keeps_its_row_with_n_zero():
    empty = dict.fromkeys(Description.__annotations__, "") | {"n": "0", "note": "no value", "penalised_mean": ""}
    row = make(summary_rows("X", dict.fromkeys((DICE, HD95, VOLUME), empty)), arms="X")[0]
    assert (row["n"], row["dsc_mean"], row["dsc_median_iqr"], row["note"]) == ("0", "", "", "no value")


def test_undefined_distances_are_counted_in_the_row_and_named_in_its_note():
    values = {HD95: {"missing": "2", "note": "undefined in 2 of 29 cases"}}
    row = make(summary_rows("X", values), arms="X")[0]
    assert (row["hd95_undefined"], row["note"]) == ("2", "HD95 undefined in 2 of 29 cases")


@pytest.mark.parametrize(("p", "mark"), [("0.051", "ns"), ("0.05", "*"), ("0.01", "**"), ("0.0009", "***")])
def test_marks_of_significance(p, mark):
    assert significance(p) == mark


def test_table3_stacks_both_criteria_for_the_best_arms(study, tmp_path):
    out = tmp_path / "table3.tsv"
    table.main(
        [
            *("--summary", study.path("evaluate/summary.tsv"), "--agreement", study.path("evaluate/agreement.tsv")),
            *("--arms", "ALL-STKi-SA", "FS-STKi"),
            *("--split", "test", "--criteria", "all", "large", "--paper", str(PAPER), "--title", "Table 3", *LEVELS),
            *("--out-tsv", str(out), "--out-markdown", str(tmp_path / "t.md"), "--out-latex", str(tmp_path / "t.tex")),
        ]
    )
    rows = read_tsv(out)
    assert [(row["criterion"], row["experiment"]) for row in rows] == [
        (criterion, arm) for criterion in ("all", "large") for arm in ("ALL-STKi-SA", "FS-STKi")
    ]
    assert rows[0]["n"] == "3"


def test_nothing_is_best_on_the_test_set(study):
    sources = [read_tsv(study.path(f"evaluate/{name}.tsv")) for name in ("summary", "agreement")]
    made = {
        split: table.make_table(*sources, ["FS-STKi", "ALL-STKi-SA"], split, ["all"], "validation")
        for split in table.SPLITS
    }
    assert any(row["best"] for row in made["validation"])
    assert not any(row["best"] for row in made["test"])


# Sentences of the paper's text, not its tables, that repeat a number of a table.
@pytest.mark.parametrize(
    ("number", "arm", "criterion", "told"),
    [
        ("1", "ALL-STKi-SA", "all", {"dsc_mean": "0.2554", "dsc_median_iqr": "0.237 (0.395)"}),
        ("1", "FS-STKi", "all", {"dsc_mean": "0.1981", "dsc_median_iqr": "0.135 (0.373)"}),
        ("1", "FS-STKp", "all", {"dsc_mean": "0.2361", "dsc_median_iqr": "0.138 (0.487)"}),
        ("3", "ALL-STKi-SA", "all", {"dsc_median_iqr": "0.156 (0.275)", "n": "19"}),
        ("3", "ALL-STKi-SA", "large", {"dsc_median_iqr": "0.332 (0.424)", "n": "14"}),
        ("3", "FS-STKi", "large", {"dsc_median_iqr": "0.268 (0.349)", "corr": ""}),
        ("B.4", "STKn-STKi-D", "all", {"avd_mean_ml": "58.09", "icc": "0.25", "n": "29"}),
        ("B.5", "FS-STKp-D", "large", {"hd95_mean_mm": "41.63", "corr": "0.74", "n": "24"}),
    ],
)
def test_the_papers_numbers_are_those_that_it_prints(number, arm, criterion, told):
    (row,) = [
        row for row in read_tsv(PAPER) if (row["table"], row["arm"], row["criterion"]) == (number, arm, criterion)
    ]
    assert row | told == row


def test_the_papers_file_holds_its_five_tables_whole():
    rows = read_tsv(PAPER)
    counts = [sum(row["table"] == name for row in rows) for name in ("1", "2", "3", "B.4", "B.5")]
    assert counts == [8, 8, 6, 5, 5] and len(rows) == sum(counts)


def test_the_papers_numbers_stand_beside_those_of_the_same_cases_alone():
    (row,) = make(summary_rows("FS-STKi"), arms=["FS-STKi"])
    ours = {"cohort": "icoAIS", "split": "validation", "criterion": "all"}
    (same,), (other,) = (beside([row | ours | {"cohort": cohort}], read_tsv(PAPER)) for cohort in ("icoAIS", "A"))
    assert (same["paper_table"], same["paper_dsc_mean"], same["paper_n"]) == ("1", "0.1981", "29")
    assert not any(value for name, value in other.items() if name.startswith("paper_"))


def printed() -> tuple[list[dict[str, str]], Heading]:
    """Rows with and without the paper's numbers, under a heading full of markup."""
    values = {DICE: {"mean": "0.255414", "mean_low": "0.2", "mean_high": "0.31", "note": MARKUP}}
    rows = make(summary_rows("FS-STKi", values), summary_rows("X"), arms=["FS-STKi", "X"])
    rows = beside([row | {"cohort": "icoAIS"} for row in rows], read_tsv(PAPER))
    return rows, Heading(MARKUP, MARKUP, 0.95, lambda criterion: f"{criterion} > 3 mL")


def test_markdown_has_the_papers_columns_and_no_markup_of_others():
    text = markdown(*printed())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "| FS-STKi | 29 | 29 | 0.2554 \\[0.2000 to 0.3100\\] | 0.1981 |" in text
    assert "HD95 \\[mm\\], undefined" in text and "HD95 \\[mm\\], mean, penalised" in text
    assert "<b>" not in text and "&lt;b&gt;" in text


def test_latex_has_whole_rows_and_compiles_where_a_latex_is(tmp_path):
    text = latex(*printed(), "table1")
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    columns = len(re.search(r"begin\{tabular\}\{(l?r+)\}", text)[1])
    for line in (line for line in body.splitlines() if line.endswith("\\\\")):
        spanned = sum(int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", line))
        assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == columns, line
    assert not re.search(r"(?<!\\)[%#_]", text.split("\n", 1)[1].replace("{!}{%", "")), "not escaped"
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex here: the table's form was tested, and not compiled")
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table}\end{document}"
    (tmp_path / "main.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
