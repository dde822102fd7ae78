"""Summarise the scores of all arms: descriptions, paired comparisons, agreement of volumes (paper 3.6)."""

import argparse
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_tsv
from workflow_scripts.common.vocabulary import CRITERIA, ENSEMBLE, SPLITS
from workflow_scripts.evaluate import score
from workflow_scripts.evaluate.measures import statistics

GROUP = ["arm", "member", "cohort", "split", "criterion"]
PANEL = ["cohort", "split", "criterion"]
DESCRIBED = ("dice", "hd95_mm", "hd95_penalised_mm", "volume_difference_ml")

SUMMARY_COLUMNS = (
    *GROUP,
    "cases",
    "n",
    *(f"{measure}_{name}" for measure in DESCRIBED for name in statistics.names(statistics.Description) if name != "n"),
    "hd95_undefined",
    "spearman",
    "icc",
    "note",
)
AGREEMENT_COLUMNS = (*GROUP, *statistics.names(statistics.Agreement))
COMPARISON_COLUMNS = (
    *PANEL,
    "measure",
    "member",
    "first",
    "second",
    *statistics.names(statistics.Comparison)[:-1],
    "zero_method",
    "p_holm",
    "family_size",
    "note",
)


def summarise(scores: pd.DataFrame, confidence: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the summary and of the agreement table: arm × member × cohort × split × criterion.

    ``cases`` counts the labelled cases of the split, ``n`` those that have a score under the criterion; a criterion
    that leaves no case has its row all the same.
    """
    summary, agreements = [], []
    for group_key, group in _groups(scores, GROUP[:-1]):
        for criterion in CRITERIA:
            key, chosen = group_key | {"criterion": criterion}, group[group["criterion"] == criterion]
            agreed = statistics.agreement(
                chosen["predicted_ml"].to_numpy(), chosen["reference_ml"].to_numpy(), confidence
            )
            agreements.append(key | asdict(agreed))
            row = key | {"cases": group["case"].nunique(), "n": len(chosen)}
            for measure in DESCRIBED:
                described = asdict(statistics.describe(chosen[measure].to_numpy(float)))
                row |= {f"{measure}_{name}": value for name, value in described.items() if name != "n"}
            undefined = int(chosen["hd95_mm"].isna().sum())
            row |= {"hd95_undefined": undefined, "spearman": agreed.spearman, "icc": agreed.icc}
            summary.append(row | {"note": _summary_note(row, agreed)})
    return summary, agreements


def compare_arms(
    scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, draws: int, confidence: float, seed: int
) -> list[dict[str, Any]]:
    """Compare the ensembles' Dice for each pair of arms; a family is the pairs of one cohort, split and criterion."""
    rows = []
    for group_key, group in _groups(scores[scores["member"] == ENSEMBLE], PANEL[:-1]):
        for criterion in CRITERIA:
            chosen = group[group["criterion"] == criterion]
            dice = chosen.pivot(index="case", columns="arm", values="dice")
            family = []
            for first, second in pairs:
                both = dice.reindex(columns=[first, second]).dropna().to_numpy(float)
                compared = statistics.compare(both[:, 0], both[:, 1], draws=draws, confidence=confidence, seed=seed)
                named = {"measure": "dice", "member": ENSEMBLE, "first": first, "second": second}
                family.append(group_key | {"criterion": criterion} | named | asdict(compared))
            rows += _with_holm(family)
    return rows


def _with_holm(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tested = [row["p"] for row in family]
    common = {"zero_method": statistics.ZERO_METHOD, "family_size": sum(p is not None for p in tested)}
    return [row | common | {"p_holm": adjusted} for row, adjusted in zip(family, statistics.holm(tested), strict=True)]


def _summary_note(row: dict[str, Any], agreed: statistics.Agreement) -> str:
    left_out = row["cases"] - row["n"]
    notes = [
        f"{left_out} of {row['cases']} cases left out, no component of the reference is large enough" * (left_out > 0),
        f"HD95 undefined in {row['hd95_undefined']} of {row['n']} cases" * (row["hd95_undefined"] > 0),
        "n < 2: no standard deviation" * (row["n"] < 2),
        agreed.note,
    ]
    return "; ".join(note for note in notes if note)


def _groups(scores: pd.DataFrame, columns: list[str]) -> Iterator[tuple[dict[str, Hashable], pd.DataFrame]]:
    """Yield the groups; the columns are ordered categories, so arms and cohorts stay in the order given."""
    for key, group in scores.groupby(columns, sort=True, observed=True):
        yield dict(zip(columns, key, strict=True)), group


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table of scores; identifiers are text, whatever they look like (NA, 007, 1e5)."""
    text = dict.fromkeys(("arm", "member", "cohort", "case", "split", "criterion"), str)
    numbers = [column for column in pd.read_csv(path, sep="\t", nrows=0).columns if column not in text]
    missing = {column: ["", "nan", "NaN"] for column in numbers}
    return pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values=missing)


def _read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    scores = pd.concat([_read_table(path) for path in paths], ignore_index=True)
    known = {"split": SPLITS, "criterion": CRITERIA}
    for column in GROUP:
        order = known.get(column, list(scores[column].unique()))
        scores[column] = pd.Categorical(scores[column], order, ordered=True)
    return scores


def _pair(text: str) -> tuple[str, str]:
    first, second = text.split(",")
    return first, second


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores of each arm")
    parser.add_argument("--comparisons", type=_pair, nargs="*", default=[], help="pairs of arms, each as first,second")
    parser.add_argument("--bootstrap", type=int, required=True, help="draws of the confidence intervals")
    parser.add_argument("--confidence", type=float, required=True, help="level of the confidence intervals")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out-scores", type=Path, required=True)
    parser.add_argument("--out-summary", type=Path, required=True)
    parser.add_argument("--out-comparisons", type=Path, required=True)
    parser.add_argument("--out-agreement", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the four tables of the evaluation."""
    arguments = _parse(argv)
    scores = _read_scores(arguments.scores)
    summary, agreements = summarise(scores, arguments.confidence)
    comparisons = compare_arms(
        scores,
        arguments.comparisons,
        draws=arguments.bootstrap,
        confidence=arguments.confidence,
        seed=arguments.seed,
    )
    rows = scores.astype(object).where(scores.notna(), None).to_dict("records")
    write_tsv(arguments.out_scores, rows, score.COLUMNS)
    write_tsv(arguments.out_summary, summary, SUMMARY_COLUMNS)
    write_tsv(arguments.out_comparisons, comparisons, COMPARISON_COLUMNS)
    write_tsv(arguments.out_agreement, agreements, AGREEMENT_COLUMNS)


if __name__ == "__main__":
    run(main)
