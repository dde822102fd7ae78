"""What the page says of the cohorts: cases, acquisition, clinical data, splits and their balance."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.vocabulary import SPLITS

Row = Mapping[str, str]

MOST_WORDS = 8
UNKNOWN = ("", "NA", "N/A", "nan", "NaN")
CLINICAL_KEY = ("cohort", "case")
NOT_SHOWN = {*CLINICAL_KEY, "patient", "split"}


def by_cohort(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Gather rows by cohort, in the order of the first row of each."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["cohort"], []).append(row)
    return groups


def spread(values: Sequence[float], decimals: int) -> str:
    """Write the median and the range of numbers; empty without any."""
    if not values:
        return ""
    middle, low, high = (f"{value:.{decimals}f}" for value in (median(values), min(values), max(values)))
    return (middle if low == high else f"{middle} ({low}–{high})").replace("-", "−")


def cohort_rows(splits: Iterable[Row]) -> list[dict[str, Any]]:
    """Count patients, cases, splits, labels, sides and lesion volumes of each cohort."""
    rows = []
    for cohort, members in by_cohort(splits).items():
        volumes = [float(row["lesion_ml"]) for row in members if row["lesion_ml"]]
        lesions = [volume for volume in volumes if volume > 0]
        rows.append(
            {
                "cohort": cohort,
                "patients": len({row["patient"] for row in members}),
                "cases": len(members),
                **{split: sum(row["split"] == split for row in members) for split in SPLITS},
                "labelled": len(volumes),
                "lesions": len(lesions),
                "volumes": spread(lesions, 1),
                **{side: sum(row["side"] == side for row in members) for side in ("left", "right", "bilateral")},
            }
        )
    return rows


def acquisition_rows(records: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Describe how the scans of each cohort were acquired, from pairs of a cohort and the content of ``ncct.json``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cohort, record in records:
        found.setdefault(cohort, []).append(_acquired(record))
    return [
        {
            "cohort": cohort,
            "cases": len(scans),
            "source": _shares(scan["source"] for scan in scans),
            "distance": spread([scan["distance"] for scan in scans], 1),
            "thickness": spread([scan["thickness"] for scan in scans if scan["thickness"]], 1),
            "pixel": spread([scan["pixel"] for scan in scans], 2),
            "slices": spread([scan["slices"] for scan in scans], 0),
            "tilted": sum(scan["tilted"] for scan in scans),
            "unequal": sum(scan["unequal"] for scan in scans),
            "kernel": _shares(scan["kernel"] for scan in scans if scan["kernel"]),
            "scanner": _shares(scan["maker"] for scan in scans if scan["maker"]),
        }
        for cohort, scans in found.items()
    ]


def _acquired(record: Mapping[str, Any]) -> dict[str, Any]:
    stack = stack_of(record)
    chosen = record.get("chosen") or {}
    series = next((one for one in record.get("series", ()) if one["number"] == chosen.get("series")), {})
    return {
        "source": {"dicom": "DICOM", "nifti": "NIfTI"}.get(record.get("source", ""), "not recorded"),
        "distance": float(np.diff(stack.heights).mean()),
        "thickness": series.get("thickness_mm"),
        "pixel": float(np.linalg.norm(stack.row_step)),
        "slices": len(stack.origins),
        "tilted": not stack.orthogonal,
        "unequal": not stack.equal_gaps,
        "kernel": series.get("kernel"),
        "maker": series.get("maker"),
    }


def clinical_rows(table: Sequence[Row], splits: Sequence[Row]) -> list[dict[str, str]]:
    """Describe every column of a clinical table for each cohort: median and range of numbers, counts of words.

    A column is one of numbers where every known value of the study is one. Cases that are not in the study are passed
    over; raises `InputError` where the table lacks the columns cohort and case, or says two things of a case.
    """
    if table and not set(CLINICAL_KEY) <= set(table[0]):
        raise InputError(
            "The clinical table lacks the columns cohort and case.", "add them, named as in the case sheet."
        )
    known: dict[tuple[str, ...], Row] = {}
    for row in table:
        key = tuple(row[name] for name in CLINICAL_KEY)
        if key in known and dict(row) != dict(known[key]):
            raise InputError("The clinical table says two things of one case.", "keep one row for each case.")
        known[key] = row
    columns = [name for name in (table[0] if table else ()) if name and name not in NOT_SHOWN]
    numeric = {name: all(_is_number(row[name]) for row in table if row[name] not in UNKNOWN) for name in columns}
    rows = []
    for cohort, members in by_cohort(splits).items():
        given = [known[key] for row in members if (key := (row["cohort"], row["case"])) in known]
        for name in columns:
            values = [row[name].strip() for row in given if (row[name] or "").strip() not in UNKNOWN]
            shown = spread(list(map(float, values)), 1) if numeric[name] else _shares(values)
            rows.append(
                {"cohort": cohort, "name": name, "known": str(len(values)), "of": str(len(members)), "value": shown}
            )
    return rows


def balance_groups(balance: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Gather the rows of ``balance.tsv`` by cohort, one a stratum, with the numbers of each split side by side."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for row in balance:
        stratum = groups.setdefault(row["cohort"], {}).setdefault(row["stratum"], {"stratum": row["stratum"]})
        share = f"{100 * float(row['share']):.0f} %" if row["share"] else ""
        stratum[row["split"]] = {"patients": row["patients"], "share": share, "cases": row["cases"]}
        stratum[row["split"]]["volume"] = f"{float(volume):.1f}" if (volume := row.get("median_lesion_ml")) else ""
    return [(cohort, list(strata.values())) for cohort, strata in groups.items()]


def _shares(words: Iterable[str]) -> str:
    """Count words, the most frequent first; the ones beyond `MOST_WORDS` together."""
    counts = Counter(words).most_common()
    told = [f"{word}: {number}" for word, number in counts[:MOST_WORDS]]
    if len(counts) > MOST_WORDS:
        told.append(f"others: {sum(number for _, number in counts[MOST_WORDS:])}")
    return ", ".join(told)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
