"""Assign the patients of every cohort to training, validation and test; balance table and leakage audit."""

import argparse
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json, write_json, write_tsv
from workflow_scripts.common.vocabulary import SPLITS
from workflow_scripts.split.patients.assignment import assign
from workflow_scripts.split.patients.leakage import audit
from workflow_scripts.split.patients.strata import SplitCase, gather_patients, stratify
from workflow_scripts.study.case_sheet import load_cases

log = logging.getLogger(__name__)

COLUMNS = ["cohort", "patient", "case", "split", "stratum", "side", "lesion_ml", "label_standard"]
BALANCE_COLUMNS = ["cohort", "stratum", "split", "patients", "share", "cases", "median_lesion_ml"]
ALL_STRATA = "all"


def split_rows(
    cases: Sequence[SplitCase], ratios: Mapping[str, float], size_strata: int, seed: int
) -> list[dict[str, Any]]:
    """Return one row a case, in the order of ``cases``: `COLUMNS` and the two digests."""
    placed = {}
    patients = gather_patients(cases)
    for cohort in dict.fromkeys(patient.cohort for patient in patients):
        members = [patient for patient in patients if patient.cohort == cohort]
        strata = stratify(members, size_strata)
        for patient, stratum, split in zip(members, strata, assign(members, strata, ratios, seed), strict=True):
            placed[cohort, patient.patient] = (stratum, split)
    rows = []
    for case in cases:
        stratum, split = placed[case.cohort, case.patient]
        rows.append({**vars(case), "stratum": stratum, "split": split})
    return rows


def balance_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count patients and cases of each cohort, stratum and split; ``share`` is of the stratum's patients.

    The stratum "all" sums up a cohort. The median volume (mL) is over cases with a lesion.
    """
    groups = defaultdict(list)
    for row in rows:
        for stratum in (ALL_STRATA, row["stratum"]):
            groups[row["cohort"], stratum].append(row)
    result = []
    for (cohort, stratum), members in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] != ALL_STRATA)):
        patients = {row["patient"] for row in members}
        for split in SPLITS:
            inside = [row for row in members if row["split"] == split]
            assigned = {row["patient"] for row in inside}
            volumes = [row["lesion_ml"] for row in inside if row["lesion_ml"]]
            result.append(
                {
                    "cohort": cohort,
                    "stratum": stratum,
                    "split": split,
                    "patients": len(assigned),
                    "share": len(assigned) / len(patients),
                    "cases": len(inside),
                    "median_lesion_ml": median(volumes) if volumes else None,
                }
            )
    return result


def read_cases(sheet: Path, preprocess: Path) -> list[SplitCase]:
    """Join the case sheet to the ``facts`` in every included case's ``case.json``; a side given in the sheet wins."""
    cases = []
    for case in load_cases(sheet, None):
        if case.exclude:
            continue
        facts = read_json(preprocess / case.cohort / case.case / "case.json")["facts"]
        cases.append(
            SplitCase(
                cohort=case.cohort,
                patient=case.patient,
                case=case.case,
                side=case.side or facts["side"],
                lesion_ml=facts["lesion_ml"],
                label_standard=case.label_standard,
                fixed=case.split,
                pixel_digest=facts["pixel_digest"],
                final_digest=facts["final_digest"],
            )
        )
    return cases


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True, help="case sheet")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of <cohort>/<case>/case.json")
    parser.add_argument(
        "--ratios", type=float, nargs=3, required=True, metavar=tuple(map(str.upper, SPLITS)), help="adding up to 1"
    )
    parser.add_argument("--size-strata", type=int, required=True, help="quantiles of the lesion volume")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out-splits", type=Path, required=True, help="TSV, one row a case")
    parser.add_argument("--out-balance", type=Path, required=True, help="TSV, counts of each stratum")
    parser.add_argument("--out-leakage", type=Path, required=True, help="JSON, the audit")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    cases = read_cases(arguments.sheet, arguments.preprocess)
    rows = split_rows(cases, dict(zip(SPLITS, arguments.ratios, strict=True)), arguments.size_strata, arguments.seed)
    report = audit(rows)
    for entry in report["repeated"]:
        log.warning("%s is given more than once: %s", entry["what"], entry["cases"])
    write_json(arguments.out_leakage, report)
    write_tsv(arguments.out_balance, balance_rows(rows), BALANCE_COLUMNS)
    write_tsv(arguments.out_splits, rows, COLUMNS)


if __name__ == "__main__":
    run(main)
