"""Draw the labelled patients that a training on fewer labels sees: nested, and stratified as the splits are."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.nnunet.cases import COLUMNS
from workflow_scripts.common.stratified_order import even_places
from workflow_scripts.common.vocabulary import TRAIN

Row = Mapping[str, str]


def subset(cases: Sequence[Row], splits: Sequence[Row], labels: int, seed: int, draw: int) -> list[Row]:
    """Return the rows of ``cases`` that are not of training, and those of ``labels`` training patients.

    The patients of one draw stand in one order, which every number of labels begins with; every beginning holds the
    strata of the split (cohort, side, size, label standard) in their shares. All cases of a patient go together.

    Parameters
    ----------
    cases
        of the arm's dataset: cohort, case, split
    splits
        of all cases: cohort, case, patient, stratum
    seed
        of the study
    draw
        number of the draw

    Raises
    ------
    InputError
        when training has fewer patients than ``labels``
    """
    known = {(row["cohort"], row["case"]): row for row in splits}
    stratum_of = {}
    for row in cases:
        if row["split"] == TRAIN:
            stratum_of[_patient(row, known)] = f"{row['cohort']} {known[row['cohort'], row['case']]['stratum']}"
    if labels > len(stratum_of):
        raise InputError(
            f"{labels} labelled patients are asked for; the training set of the arm has {len(stratum_of)}.",
            f"give the arm `labels` from 1 to {len(stratum_of)}.",
        )
    patients = sorted(stratum_of)
    places = even_places(patients, [stratum_of[patient] for patient in patients], seed, "labels", draw)
    chosen = {patient for _, patient in sorted(zip(places, patients, strict=True))[:labels]}
    return [row for row in cases if row["split"] != TRAIN or _patient(row, known) in chosen]


def _patient(row: Row, known: Mapping[tuple[str, str], Row]) -> str:
    return f"{row['cohort']}/{known[row['cohort'], row['case']]['patient']}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="cases.tsv of the arm's dataset")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage")
    parser.add_argument("--labels", type=int, required=True, help="number of training patients")
    parser.add_argument("--seed", type=int, required=True, help="of the study")
    parser.add_argument("--draw", type=int, required=True, help="number of the draw")
    parser.add_argument("--out", type=Path, required=True, help="TSV, columns as --cases")
    arguments = parser.parse_args(argv)
    cases, splits = read_tsv(arguments.cases, COLUMNS), read_tsv(arguments.splits)
    write_tsv(arguments.out, subset(cases, splits, arguments.labels, arguments.seed, arguments.draw), COLUMNS)


if __name__ == "__main__":
    run(main)
