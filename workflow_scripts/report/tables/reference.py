"""The numbers of the paper's Tables 1–3, B.4 and B.5 beside ours."""

from collections.abc import Iterable, Mapping, Sequence

# Columns of a table of results that the paper has too, with the number of its cases.
REFERENCED = (
    *("n", "dsc_mean", "dsc_median_iqr", "hd95_mean_mm", "hd95_median_iqr_mm", "avd_mean_ml", "avd_median_iqr_ml"),
    *("corr", "icc"),
)
KEY = ("cohort", "split", "criterion")


def paper_column(name: str) -> str:
    """Return the name of the column that holds the paper's value beside a column of ours."""
    return f"paper_{name}"


PAPER_COLUMNS = ("paper_table", *map(paper_column, REFERENCED))


def beside(rows: Iterable[Mapping[str, str]], paper: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a table with the paper's values in `PAPER_COLUMNS`, empty where the paper has none.

    ``paper`` are rows of ``paper.tsv``, the paper's numbers as printed; they belong to a row of the same cohort, split,
    criterion and arm.
    """
    printed = {(*(row[name] for name in KEY), row["arm"]): row for row in paper}
    joined = []
    for row in rows:
        found = printed.get((*(row[name] for name in KEY), row["experiment"]), {})
        values = {paper_column(name): found.get(name, "") for name in REFERENCED}
        joined.append({**row, "paper_table": found.get("table", ""), **values})
    return joined
