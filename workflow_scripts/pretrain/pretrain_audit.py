"""Rule pretrain_audit: prove that a pretraining saw no patient whom its settings held out, not even in statistics."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, write_json
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.common.vocabulary import HELD_OUT

log = logging.getLogger(__name__)


def audit(
    splits: Sequence[Mapping[str, str]], allowed: Sequence[str], seen: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Hold what a pretraining saw against the split of the patients.

    Parameters
    ----------
    splits
        rows with cohort, patient, case and split
    allowed
        splits that the pretraining was to see
    seen
        for each use (gradients, normalisation) the cases (cohort/case) that it was made of

    Returns
    -------
    dict
        counts of cases and patients of each use, of held-out patients (validation, test) in all, and of those seen

    Raises
    ------
    InputError
        naming the cases, when one is of another split, of a patient with a case in another split, or unknown
    """
    rows = {f"{row['cohort']}/{row['case']}": row for row in splits}
    sides: dict[tuple[str, str], set[str]] = {}
    for row in splits:
        sides.setdefault(_patient(row), set()).add(row["split"])
    leaks = [
        f"{case} ({use}: {reason})"
        for use, cases in seen.items()
        for case in cases
        if (reason := _leak(rows.get(case), sides, allowed))
    ]
    if leaks:
        raise InputError(
            f"The pretraining of the splits {', '.join(allowed)} saw others: {'; '.join(leaks)}.",
            "delete the dataset and the encoder of this pretraining and make them again from today's split.",
        )
    patients = {use: {_patient(rows[case]) for case in cases} for use, cases in seen.items()}
    held_out = {patient for patient, found in sides.items() if found & set(HELD_OUT)}
    return {
        "splits": list(allowed),
        **{use: {"cases": len(seen[use]), "patients": len(patients[use])} for use in seen},
        "held_out_patients": len(held_out),
        "held_out_patients_seen": len(held_out & set().union(*patients.values())),
    }


def _patient(row: Mapping[str, str]) -> tuple[str, str]:
    return row["cohort"], row["patient"]


def _leak(
    row: Mapping[str, str] | None, sides: Mapping[tuple[str, str], set[str]], allowed: Sequence[str]
) -> str | None:
    if row is None:
        return "in no split"
    foreign = sorted(sides[_patient(row)] - set(allowed))
    return f"patient {row['patient']} is in {', '.join(foreign)}" if foreign else None


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.pt of the pretraining")
    parser.add_argument("--fingerprint", type=Path, required=True, help="fingerprint.json of its dataset")
    parser.add_argument("--splits", type=Path, required=True, help="split/splits.tsv")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the encoder's own list, the fingerprint's and the split table, write the audit."""
    arguments = _parse(argv)
    encoder, fingerprint = read_encoder(arguments.encoder), read_json(arguments.fingerprint)
    if encoder["statistics_cases"] != fingerprint["cases"]:
        raise InputError(
            "The encoder was trained with intensity statistics of other cases than the dataset holds now.",
            "make the encoder again.",
        )
    splits, seen = read_tsv(arguments.splits), {"gradients": encoder["cases"], "statistics": fingerprint["cases"]}
    initial, unknown = encoder.get("initial_weights"), {}
    if initial and initial["cases"] is None:
        unknown = {"initial_weights": {"cases": None, "patients": None}}
        log.warning("what the initial weights have seen is not known: held-out patients may be among it")
    elif initial:
        # Of another study they may have seen cases that this one does not have.
        known = {f"{row['cohort']}/{row['case']}" for row in splits}
        seen["initial_weights"] = [case for case in initial["cases"] if case in known]
    report = audit(splits, encoder["splits"], seen) | unknown
    write_json(arguments.out, {"pretraining": encoder["settings"]["pretraining"], **report})
    log.info("%d held-out patients, %d seen", report["held_out_patients"], report["held_out_patients_seen"])


if __name__ == "__main__":
    run(main)
