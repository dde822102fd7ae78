"""Dice against the number of labelled patients, and the labels that an arm saves (docs/label_efficiency.md)."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.vocabulary import ENSEMBLE, HELD_OUT, REPORTED_CRITERIA, TRAIN
from workflow_scripts.evaluate.measures.intervals import LEAST_N, TOO_FEW, within
from workflow_scripts.evaluate.measures.label_curve import Curve, Samples, Saving, interval, saving

SET = ("cohort", "split", "criterion")
CURVE_COLUMNS = (*SET, "arm", "labels", "draws", "n", "dice", "dice_low", "dice_high", "note")
SAVING_COLUMNS = (
    *(*SET, "first", "second", "labels", "n"),
    *(*Saving.__annotations__, "note"),
)
WHOLE_CURVE = "curve"
ONE_DRAW = "one draw: the interval is over patients alone"

Rows = list[dict[str, Any]]
Curves = dict[str, Curve]


def curves_of(scores: pd.DataFrame) -> Iterator[tuple[dict[str, str], Curves]]:
    """Yield each held-out set and criterion with the curves of the arms, all of the same patients.

    Parameters
    ----------
    scores
        columns arm, labels, member (one training each), cohort, split, criterion, patient, dice; the scans of a patient
        are averaged
    """
    for split in HELD_OUT:
        for cohort in scores["cohort"].unique():
            for criterion in REPORTED_CRITERIA:
                key = {"cohort": cohort, "split": split, "criterion": criterion}
                chosen = scores[np.logical_and.reduce([scores[name] == value for name, value in key.items()])]
                if chosen.empty:
                    continue
                dice = chosen.pivot_table("dice", ["arm", "labels", "member"], "patient").dropna(axis="columns")
                arms: Curves = {arm: {} for arm in chosen["arm"].unique()}
                for (arm, labels), cell in dice.groupby(["arm", "labels"]):
                    arms[arm][int(labels)] = cell.to_numpy(float)
                yield key, arms


def curve_rows(curves: Curves, samples: Samples, confidence: float) -> Rows:
    """Return a row of `CURVE_COLUMNS`, but for the set, for each arm and number of labels."""
    rows = []
    for arm, curve in curves.items():
        for labels, dice in sorted(curve.items()):
            draws, n = dice.shape
            means = samples.means(dice)
            low, high = within(interval(means, n, confidence), 0, 1)
            row = {"arm": arm, "labels": labels, "draws": draws, "n": n, "dice": means[0]}
            rows.append(row | {"dice_low": low, "dice_high": high, "note": _note(n, [draws])})
    return rows


def saving_rows(curves: Curves, pairs: Sequence[tuple[str, str]], samples: Samples, confidence: float) -> Rows:
    """Return rows of `SAVING_COLUMNS`, but for the set: of each pair the whole curve, and each number of labels.

    The factor says how many times the labels of ``second`` the arm ``first`` needs for the same Dice.
    """
    rows = []
    for first, second in pairs:
        if not {first, second} <= set(curves):
            continue
        reference, other = curves[first], curves[second]
        n = next(iter(other.values())).shape[1]
        named = {"first": first, "second": second, "n": n}
        if len(reference) < 2:
            rows.append(named | {"labels": WHOLE_CURVE, "note": f"{first} has one number of labels: no curve"})
            continue
        means = [{labels: samples.means(dice) for labels, dice in curve.items()} for curve in (reference, other)]
        note = _note(n, [len(dice) for curve in (reference, other) for dice in curve.values()])
        for labels in (None, *sorted(other)):
            found = asdict(saving(*means, labels, n, confidence))
            rows.append(named | {"labels": labels or WHOLE_CURVE, "note": note} | found)
    return rows


def _note(n: int, draws: Sequence[int]) -> str:
    return "; ".join([TOO_FEW] * (n < LEAST_N) + [ONE_DRAW] * (min(draws) == 1))


def patients_of(cases: Path, splits: Mapping[tuple[str, str], str]) -> int:
    """Count the labelled training patients of an arm's dataset; ``splits`` has the patient of each cohort and case."""
    rows = [row for row in read_tsv(cases) if row["split"] == TRAIN]
    return len({(row["cohort"], splits[row["cohort"], row["case"]]) for row in rows})


def gather(budgets: Sequence[Path], whole: Sequence[Path], labels_of: Mapping[str, int]) -> pd.DataFrame:
    """Join the scores of trainings on fewer labels and of the arms' own trainings, each training a member.

    ``labels_of`` has the labelled patients of each arm. Where an arm has that number of labels as well, its own
    trainings are left out: they would count twice.
    """
    columns = ["arm", "labels", "member", "cohort", "split", "criterion", "patient", "dice"]
    fewer = [row for path in budgets for row in read_tsv(path)]
    given = {(row["arm"], row["labels"]) for row in fewer}
    own = [row | {"labels": str(labels_of[row["arm"]])} for path in whole for row in read_tsv(path)]
    own = [row for row in own if row["member"] != ENSEMBLE and (row["arm"], row["labels"]) not in given]
    scores = pd.DataFrame([*fewer, *own], columns=columns, dtype=str)
    return scores.astype({"labels": int, "dice": float})


def _pair(text: str) -> tuple[str, str]:
    first, second = text.split(",")
    return first, second


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label-scores", type=Path, nargs="+", required=True, help="of the arms on fewer labels")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="of arms on all their patients")
    parser.add_argument("--arms", nargs="*", default=[], help="these arms")
    parser.add_argument("--cases", type=Path, nargs="*", default=[], help="cases.tsv of the dataset of each of them")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage")
    parser.add_argument("--pairs", type=_pair, nargs="*", default=[], help="arms that are compared, each first,second")
    parser.add_argument("--bootstrap", type=int, required=True, help="samples of the patients and draws")
    parser.add_argument("--confidence", type=float, required=True, help="level of the confidence intervals")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out-curve", type=Path, required=True)
    parser.add_argument("--out-savings", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the curves of all arms, and what each compared pair says of labels saved."""
    arguments = _parse(argv)
    patient_of = {(row["cohort"], row["case"]): row["patient"] for row in read_tsv(arguments.splits)}
    labels_of = {
        arm: patients_of(cases, patient_of) for arm, cases in zip(arguments.arms, arguments.cases, strict=True)
    }
    points: Rows = []
    savings: Rows = []
    for key, curves in curves_of(gather(arguments.label_scores, arguments.scores, labels_of)):
        shapes = [dice.shape for curve in curves.values() for dice in curve.values()]
        draws = [draws for draws, _ in shapes]
        samples = Samples.drawn(shapes[0][1], draws, arguments.bootstrap, arguments.seed)
        points += [key | row for row in curve_rows(curves, samples, arguments.confidence)]
        savings += [key | row for row in saving_rows(curves, arguments.pairs, samples, arguments.confidence)]
    write_tsv(arguments.out_curve, points, CURVE_COLUMNS)
    write_tsv(arguments.out_savings, savings, SAVING_COLUMNS)


if __name__ == "__main__":
    run(main)
