"""Dice in subgroups of the patients: by cohort, side and size of the lesion, and standard of its label."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.evaluate.measures.description import Description, OfMean, describe

SIZES = ("lower third", "middle third", "upper third")
COLUMNS = ("by", "group", "cases", *Description.__annotations__)
NO_LESION, NOT_STATED = "no lesion", "not stated"

Row = Mapping[str, str]
Groups = dict[str, dict[str, str]]


def groups_of(splits: Sequence[Row]) -> Groups:
    """Return the groups of each labelled case, ``cohort/case``, from the rows of ``splits.tsv``.

    The thirds of size are those of all labelled cases of the study with a lesion, so that they are the same in every
    split; a volume on a bound belongs to the lower third of the two.
    """
    labelled = [row for row in splits if row["lesion_ml"]]
    volumes = [volume for row in labelled if (volume := float(row["lesion_ml"])) > 0]
    bounds = np.quantile(volumes, [1 / 3, 2 / 3]) if volumes else np.zeros(2)
    names = [f"{SIZES[0]} (to {bounds[0]:.1f} mL)", f"{SIZES[1]} (to {bounds[1]:.1f} mL)", f"{SIZES[2]} (above)"]
    return {
        f"{row['cohort']}/{row['case']}": {
            "cohort": row["cohort"],
            "size": names[np.searchsorted(bounds, volume)] if (volume := float(row["lesion_ml"])) > 0 else NO_LESION,
            "side": NO_LESION if row["side"] == "none" else row["side"] or NOT_STATED,
            "label standard": row["label_standard"] or NOT_STATED,
        }
        for row in labelled
    }


def describe_groups(scores: pd.DataFrame, groups: Groups, confidence: float, of_mean: OfMean) -> list[dict[str, Any]]:
    """Describe the Dice of an arm in every group that it has a case of, as rows of `COLUMNS`.

    ``scores`` has columns cohort, patient, case and dice, a row a case. The scans of one patient that are in one group
    are averaged. Every case is in one group of each kind, so that the kinds overlap.
    """
    members = pd.DataFrame([groups[f"{row.cohort}/{row.case}"] for row in scores.itertuples()], index=scores.index)
    rows: list[dict[str, Any]] = []
    for by in members.columns:
        for name in sorted(members[by].unique()):
            chosen = scores[members[by] == name]
            patients = chosen.groupby(["cohort", "patient"], observed=True)["dice"].mean()
            described = asdict(describe(patients.to_numpy(float), confidence, of_mean))
            rows.append({"by": by, "group": name, "cases": len(chosen)} | described)
    return rows
