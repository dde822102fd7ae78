"""Summarise the scores of all arms: descriptions, agreement, comparisons, ranks, variance (docs/statistics.md).

What is averaged, ranked and tested is patients: scans of one patient depend on each other, and their mean stands.
"""

import argparse
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS, CRITERIA, ENSEMBLE, SPLITS, TEST, TRAIN, VALIDATION
from workflow_scripts.evaluate import score
from workflow_scripts.evaluate.measures import subgroups
from workflow_scripts.evaluate.measures.agreement import Agreement, agreement
from workflow_scripts.evaluate.measures.comparison import Comparison, compare, holm
from workflow_scripts.evaluate.measures.description import Description, OfMean, describe
from workflow_scripts.evaluate.measures.intervals import (
    LEAST_N,
    mean_interval,
    skewed_mean_interval,
    symmetric_mean_interval,
    within,
)
from workflow_scripts.evaluate.measures.ranks import Rank, rank_stability
from workflow_scripts.evaluate.measures.signed_rank import ZERO_METHOD
from workflow_scripts.evaluate.measures.variance import Variance, split_variance
from workflow_scripts.evaluate.score_test import LOOK_COLUMNS

GROUP = ["arm", "member", "cohort", "split", "criterion"]
PANEL = ["cohort", "split", "criterion"]
PENALISED = {"hd95_mm": "hd95_penalised_mm", "lesion_sensitivity": "lesion_sensitivity_penalised"}
MANY = 19  # patients, from which on the interval of a penalised mean covers as it says (docs/statistics.md)
UNSURE_PENALTY = f"n < {MANY}: the 95 % interval of the penalised mean covers 80 to 90 % in simulations"
SKEWED = ("hd95_mm", "volume_difference_ml", "false_lesions")
DESCRIBED = {  # the measures of the summary, with the values between which they lie
    "dice": (0, 1),
    "hd95_mm": (0, math.inf),
    "surface_dice_2mm": (0, 1),
    "surface_dice_5mm": (0, 1),
    "volume_difference_ml": (0, math.inf),
    "signed_volume_difference_ml": (-math.inf, math.inf),
    "lesion_f1": (0, 1),
    "lesion_sensitivity": (0, 1),
    "false_lesions": (0, math.inf),
}

SUMMARY_COLUMNS = (
    *(*GROUP, "measure", "cases", "scored", "missing"),
    *list(Description.__annotations__)[:-1],
    *("penalised_mean", "penalised_low", "penalised_high", "note"),
)
AGREEMENT_COLUMNS = (*GROUP, *Agreement.__annotations__)
COMPARISON_COLUMNS = (
    *(*PANEL, "family", "measure", "member", "first", "second"),
    *list(Comparison.__annotations__)[:-1],
    *("zero_method", "p_holm", "family_size", "note"),
)
RANK_COLUMNS = (*PANEL, "measure", "member", "arm", *Rank.__annotations__)
VARIANCE_COLUMNS = (*PANEL, "measure", *Variance.__annotations__)
SUBGROUP_COLUMNS = ("arm", "member", "split", "criterion", "measure", *subgroups.COLUMNS)

OUTPUTS = ("scores", "summary", "comparisons", "agreement", "ranks", "variance", "subgroups", "test_looks")

Rows = list[dict[str, Any]]


def summarise(scores: pd.DataFrame, *, confidence: float, draws: int, seed: int) -> tuple[Rows, Rows]:
    """Return the rows of the summary, one for each group and measure, and of the agreement table, one for each group.

    A group is arm × member × cohort × split × criterion. ``cases`` counts the labelled cases of the split, ``scored``
    those to which the criterion applies, ``missing`` those of them without a value, ``n`` the patients that have one. A
    criterion that leaves no case has its rows all the same. ``draws`` and ``seed`` are those of the bootstrap of
    `SKEWED` measures.
    """
    intervals = {measure: _interval_of_mean(measure, draws, seed) for measure in DESCRIBED}
    summary, agreements = [], []
    for group_key, group in _groups(scores, GROUP[:-1]):
        for criterion in CRITERIA:
            key, chosen = group_key | {"criterion": criterion}, group[group["criterion"] == criterion]
            patients = _patient_means(chosen)
            volumes = (patients[name].to_numpy() for name in ("predicted_ml", "reference_ml"))
            agreements.append(key | asdict(agreement(*volumes, confidence, draws=draws, seed=seed)))
            counts = {"cases": group["case"].nunique(), "scored": len(chosen)}
            for measure, of_mean in intervals.items():
                missing = int(chosen[measure].isna().sum())
                described = asdict(describe(patients[measure].to_numpy(float), confidence, of_mean))
                penalised = describe(patients[PENALISED.get(measure, measure)].to_numpy(float), confidence, of_mean)
                row = key | {"measure": measure} | counts | {"missing": missing} | described
                row |= {"penalised_mean": penalised.mean}
                row |= {"penalised_low": penalised.mean_low, "penalised_high": penalised.mean_high}
                summary.append(row | {"note": _summary_note(row, len(patients))})
    return summary, agreements


def compare_arms(
    scores: pd.DataFrame, families: Sequence[tuple[str, str, str]], *, confidence: float, draws: int, seed: int
) -> Rows:
    """Compare the ensembles' Dice for each pair of arms, given as (family, first, second).

    Holm's method adjusts over the pairs of one family in one cohort, split and criterion. A pair of which an arm has no
    scores there, as on the test set, has no row. ``draws`` and ``seed`` are those of the bootstrap of the differences.
    """
    options = {"confidence": confidence, "of_arm": _interval_of_mean("dice", draws, seed)}
    options |= {"of_difference": _bounded(partial(symmetric_mean_interval, draws=draws, seed=seed), -1, 1)}
    rows: Rows = []
    for key, dice in _panels(scores):
        for family in dict.fromkeys(name for name, _, _ in families):
            compared: Rows = []
            for first, second in ((first, second) for name, first, second in families if name == family):
                if not {first, second} <= set(dice.columns):
                    continue
                both = dice.reindex(columns=[first, second]).dropna().to_numpy(float)
                named = {"family": family, "measure": "dice", "member": ENSEMBLE, "first": first, "second": second}
                compared.append(key | named | asdict(compare(both[:, 0], both[:, 1], **options)))
            rows += _with_holm(compared)
    return rows


def rank_arms(scores: pd.DataFrame, *, draws: int, confidence: float, seed: int) -> Rows:
    """Rank the arms by the mean Dice of their ensembles in each cohort, split and criterion, to choose among them."""
    of_mean = _interval_of_mean("dice", draws, seed)
    options = {"draws": draws, "confidence": confidence, "seed": seed, "of_mean": of_mean}
    rows: Rows = []
    for key, dice in _panels(scores):
        ranks = rank_stability(dice.dropna().to_numpy(float), **options)
        named = key | {"measure": "dice", "member": ENSEMBLE}
        rows += [named | {"arm": arm} | asdict(rank) for arm, rank in zip(dice.columns, ranks, strict=True)]
    return rows


def split_variances(scores: pd.DataFrame) -> Rows:
    """Split the variance of Dice over patients, arms and seeds in each cohort, split and criterion."""
    rows: Rows = []
    for key, panel in _panel_groups(scores[scores["member"] != ENSEMBLE]):
        dice = panel.pivot_table("dice", "patient", ["arm", "member"], observed=True).dropna()
        arms, members = (dice.columns.unique(level).size for level in ("arm", "member"))
        components = split_variance(dice.to_numpy(float).reshape(len(dice), arms, members))
        rows.append(key | {"measure": "dice"} | asdict(components))
    return rows


def describe_subgroups(scores: pd.DataFrame, groups: subgroups.Groups, confidence: float) -> Rows:
    """Describe the ensembles' Dice in every subgroup of each split, over the cohorts, with all lesions."""
    rows: Rows = []
    chosen = scores[(scores["member"] == ENSEMBLE) & (scores["criterion"] == ALL_LESIONS)]
    for key, group in _groups(chosen, ["arm", "split"]):
        named = key | {"member": ENSEMBLE, "criterion": ALL_LESIONS, "measure": "dice"}
        described = subgroups.describe_groups(group, groups, confidence, _interval_of_mean("dice", 0, 0))
        rows += [named | row for row in described]
    return rows


def _interval_of_mean(measure: str, draws: int, seed: int) -> OfMean:
    """Return what makes the interval of a measure's mean, which ends where the measure does."""
    of_mean = partial(skewed_mean_interval, draws=draws, seed=seed) if measure in SKEWED else mean_interval
    return _bounded(of_mean, *DESCRIBED[measure])


def _bounded(of_mean: OfMean, least: float, most: float) -> OfMean:
    return lambda values, confidence: within(of_mean(values, confidence), least, most)


def _patient_means(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.groupby("patient", sort=False)[
        [*DESCRIBED, *PENALISED.values(), "predicted_ml", "reference_ml"]
    ].mean()


def _panels(scores: pd.DataFrame) -> Iterator[tuple[dict[str, Hashable], pd.DataFrame]]:
    """Yield each cohort × split × criterion with the ensembles' Dice: a row for each patient, a column for each arm."""
    for key, panel in _panel_groups(scores[scores["member"] == ENSEMBLE]):
        yield key, panel.pivot_table("dice", "patient", "arm", observed=True)


def _panel_groups(scores: pd.DataFrame) -> Iterator[tuple[dict[str, Hashable], pd.DataFrame]]:
    for key, group in _groups(scores, PANEL[:-1]):
        for criterion in CRITERIA:
            yield key | {"criterion": criterion}, group[group["criterion"] == criterion]


def _with_holm(family: Rows) -> Rows:
    tested = [row["p"] for row in family]
    common = {"zero_method": ZERO_METHOD, "family_size": sum(p is not None for p in tested)}
    return [row | common | {"p_holm": adjusted} for row, adjusted in zip(family, holm(tested), strict=True)]


def _summary_note(row: dict[str, Any], patients: int) -> str:
    cases, scored, missing = (row[name] for name in ("cases", "scored", "missing"))
    notes = [
        f"{cases - scored} of {cases} cases left out, the reference is not large enough" * (cases > scored),
        f"{scored} scans of {patients} patients: those of one patient are averaged" * (scored > patients),
        f"undefined in {missing} of {scored} cases" * (missing > 0),
        UNSURE_PENALTY * (missing > 0 and row["measure"] in SKEWED and LEAST_N <= patients < MANY),
        row["note"],
    ]
    return "; ".join(note for note in notes if note)


def _groups(scores: pd.DataFrame, columns: list[str]) -> Iterator[tuple[dict[str, Hashable], pd.DataFrame]]:
    """Yield the groups; the columns are ordered categories, so arms and cohorts stay in the order given."""
    for key, group in scores.groupby(columns, sort=True, observed=True):
        yield dict(zip(columns, key, strict=True)), group


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table of scores; identifiers are text, whatever they look like (NA, 007, 1e5)."""
    text = dict.fromkeys(("arm", "member", "cohort", "patient", "case", "split", "criterion"), str)
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


def _records(scores: pd.DataFrame) -> Rows:
    return scores.astype(object).where(scores.notna(), None).to_dict("records")


def _require_named(scores: pd.DataFrame, test_arms: Sequence[str]) -> None:
    found = scores.loc[scores["split"] == TEST, "arm"].unique()
    if others := [arm for arm in found if arm not in test_arms]:
        raise InputError(
            f"There are test scores of {', '.join(others)}, which evaluate.test_arms does not name.",
            "choose arms on another set, and name them in the configuration before their test scores are made.",
        )


def _pair(text: str) -> tuple[str, str, str]:
    family, pair = text.split(":")
    first, second = pair.split(",")
    return family, first, second


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores of each arm")
    parser.add_argument("--acquired-scores", type=Path, nargs="+", required=True, help="the same on acquired slices")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage, for the subgroups")
    parser.add_argument("--comparisons", type=_pair, nargs="*", default=[], help="pairs of arms: family:first,second")
    parser.add_argument("--bootstrap", type=int, required=True, help="samples of the patients, for intervals and ranks")
    parser.add_argument("--confidence", type=float, required=True, help="level of the confidence intervals")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--selected-on", choices=[TRAIN, VALIDATION], required=True, help="split whose arms are ranked")
    parser.add_argument("--test-arms", nargs="*", default=[], help="arms that may have test scores")
    parser.add_argument("--looks", type=Path, required=True, help="folder with the record of looks at the test set")
    for name in (*OUTPUTS, *(f"acquired_{name}" for name in OUTPUTS[:4])):
        parser.add_argument(f"--out-{name.replace('_', '-')}", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables of the evaluation."""
    arguments = _parse(argv)
    scores = _read_scores(arguments.scores)
    _require_named(scores, arguments.test_arms)
    confidence = arguments.confidence
    options = {"confidence": confidence, "draws": arguments.bootstrap, "seed": arguments.seed}
    summary, agreements = summarise(scores, **options)
    ranks = rank_arms(scores[scores["split"] == arguments.selected_on], **options)
    groups = subgroups.groups_of(read_tsv(arguments.splits))
    looks = [row for path in sorted(arguments.looks.glob("*.tsv")) for row in read_tsv(path)]
    written = {
        "scores": (_records(scores), score.COLUMNS),
        "summary": (summary, SUMMARY_COLUMNS),
        "comparisons": (compare_arms(scores, arguments.comparisons, **options), COMPARISON_COLUMNS),
        "agreement": (agreements, AGREEMENT_COLUMNS),
        "ranks": (ranks, RANK_COLUMNS),
        "variance": (split_variances(scores), VARIANCE_COLUMNS),
        "subgroups": (describe_subgroups(scores, groups, confidence), SUBGROUP_COLUMNS),
        "test_looks": (sorted(looks, key=lambda row: row["time"]), LOOK_COLUMNS),
    }
    acquired = _read_scores(arguments.acquired_scores)
    _require_named(acquired, arguments.test_arms)
    summary, agreements = summarise(acquired, **options)
    written |= {
        "acquired_scores": (_records(acquired), score.COLUMNS),
        "acquired_summary": (summary, SUMMARY_COLUMNS),
        "acquired_comparisons": (compare_arms(acquired, arguments.comparisons, **options), COMPARISON_COLUMNS),
        "acquired_agreement": (agreements, AGREEMENT_COLUMNS),
    }
    for name, (rows, columns) in written.items():
        write_tsv(getattr(arguments, f"out_{name}"), rows, columns)


if __name__ == "__main__":
    run(main)
