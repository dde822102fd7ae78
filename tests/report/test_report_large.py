"""The page of a study of the paper's size stays small: what it holds grows with the cases, and no faster."""

import csv
from pathlib import Path

import numpy as np

from tests.report import parts
from workflow_scripts.common.files import read_json, read_tsv, write_json, write_tsv
from workflow_scripts.report import figure_cohort, figure_dice, figure_quality, figure_size, figure_volumes, index

PAPER_CASES, PAPER_BYTES = 1261, 10_000_000
CASES = 150


def large_study(study, folder: Path, cases: int) -> list[str]:
    """Arguments of an index with so many cases, a quarter of them held out; its figures of points are real ones."""
    arguments = parts.index_arguments(study, folder)
    described = read_json(study.path("preprocess/icoAIS/S04/case.json"))
    record = read_json(study.path("ingest/icoAIS/S04/ncct.json"))
    names = [f"L{number:04d}" for number in range(cases)]
    splits = [dict(study.rows[0], case=name, patient=name, split="train") for name in names]
    for number, row in enumerate(splits):
        row["split"] = "validation" if number % 4 == 0 else "train"
        facts = described["facts"] | {"case": row["case"]}
        write_json(folder / "preprocess" / "icoAIS" / row["case"] / "case.json", described | {"facts": facts})
        write_json(folder / "ingest" / "icoAIS" / row["case"] / "ncct.json", record)
    write_tsv(folder / "split" / "splits.tsv", splits, list(splits[0]))
    (folder / "split" / "balance.tsv").write_bytes(Path(study.path("split/balance.tsv")).read_bytes())
    (folder / "split" / "leakage.json").write_bytes(Path(study.path("split/leakage.json")).read_bytes())
    for stage in ("preprocess", "ingest", "split"):
        arguments[arguments.index(f"--{stage}") + 1] = str(folder / stage)
    _draw(study, folder, splits)
    return arguments


def _draw(study, folder: Path, splits: list[dict]) -> None:
    generator = np.random.default_rng(0)
    model = next(row for row in read_tsv(study.path("evaluate/scores.tsv")) if row["member"] == "ensemble")
    scores = [
        model
        | {"arm": arm, "case": row["case"], "patient": row["case"], "split": "validation", "criterion": criterion}
        | {"dice": f"{generator.uniform():.3f}", "reference_ml": f"{generator.uniform(1, 90):.2f}"}
        for arm in ("FS-STKi", "ALL-STKi-SA")
        for criterion in ("all", "large")
        for row in splits
        if row["split"] == "validation"
    ]
    with (folder / "scores.tsv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(model), delimiter="\t")
        writer.writeheader()
        writer.writerows(scores)
    table, points = str(folder / "split" / "splits.tsv"), ["--scores", str(folder / "scores.tsv"), "--cohort", "icoAIS"]
    points += ["--split", "validation", "--arms", "FS-STKi", "ALL-STKi-SA"]
    limit = ["--min-component-ml", "3"]
    comparisons = ["--comparisons", study.path("evaluate/comparisons.tsv")]
    figure_cohort.main(["--splits", table, *limit, "--out", str(folder / "cohort.svg")])
    figure_quality.main(
        ["--splits", table, "--preprocess", str(folder / "preprocess"), "--out", str(folder / "quality.svg")]
    )
    figure_size.main([*points, *limit, "--out", str(folder / "size-icoAIS-validation.svg")])
    figure_volumes.main([*points, "--out", str(folder / "volumes-icoAIS-validation.svg")])
    figure_dice.main([*points, *limit, *comparisons, "--out", str(folder / "dice-icoAIS-validation.svg")])


def test_the_page_grows_with_the_cases_so_that_the_papers_study_fits(study, tmp_path):
    sizes = []
    for cases in (CASES, 2 * CASES):
        folder = tmp_path / str(cases)
        folder.mkdir()
        index.main([*large_study(study, folder, cases), "--out", str(folder / "index.html")])
        sizes.append((folder / "index.html").stat().st_size)
    a_case = (sizes[1] - sizes[0]) / CASES
    assert sizes[1] + (PAPER_CASES - 2 * CASES) * a_case < PAPER_BYTES
    text = (tmp_path / str(CASES) / "index.html").read_text("utf-8")
    assert f"<details>\n<summary>All {CASES} cases" in text, "a long list is folded"
