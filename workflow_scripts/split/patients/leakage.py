"""The audit that no patient and no image stands on two sides of a split."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_scripts.common.errors import InputError

DIGESTS = {"pixel_digest": "the same scan", "final_digest": "the same preprocessed image"}


def audit(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Check a table of cases with their splits.

    Parameters
    ----------
    rows
        mappings with cohort, patient, case and split, and, where known, pixel_digest and final_digest

    Returns
    -------
    Counts of cases, patients and checked digests, and ``repeated``: the same pixels given twice on one side, which
    is no leak but seldom meant.

    Raises
    ------
    InputError
        naming the cases when a patient of a cohort, or the same pixels, stand on two sides
    """
    leaks, repeated = [], []
    for (cohort, patient), members in _groups(rows, ("cohort", "patient")).items():
        if _sides(members) > 1:
            leaks.append(f"patient {cohort}/{patient} ({_names(members)})")
    for digest, meaning in DIGESTS.items():
        for members in _groups(rows, (digest,)).values():
            if _sides(members) > 1:
                leaks.append(f"{meaning} ({_names(members)})")
            elif len(members) > 1:
                entry = {"what": meaning, "split": members[0]["split"], "cases": _names(members)}
                repeated.append(entry)
    if leaks:
        raise InputError(
            "On two sides of the split stand: " + "; ".join(leaks) + ".",
            "give these cases the same patient, or the same value in column split, or exclude one of them.",
        )
    return {
        "cases": len(rows),
        "patients": len(_groups(rows, ("cohort", "patient"))),
        **{f"{digest}s": len(_groups(rows, (digest,))) for digest in DIGESTS},
        "on_two_sides": 0,
        "repeated": repeated,
    }


def _groups(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[tuple, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for row in rows:
        if all(row.get(key) for key in keys):
            groups[tuple(row[key] for key in keys)].append(row)
    return dict(sorted(groups.items()))


def _sides(members: Sequence[Mapping[str, Any]]) -> int:
    return len({row["split"] for row in members})


def _names(members: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted(f"{row['cohort']}/{row['case']}: {row['split']}" for row in members))
