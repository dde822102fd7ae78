"""What a study leaves out because the case sheet has no such cohort, or too few masks in it.

The configuration that comes with the project names the cohorts of the paper. A user's sheet has others, or not yet the
masks, and everything that does not need what is absent works. Only what the project's own file says is left out: a
cohort that a user names and the sheet lacks is a mistake (`workflow_scripts.study.references`).
"""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.enough_patients import shortage

Shipped = Callable[[Sequence[str]], bool]


def leave_out_absent(config: dict[str, Any], cases: Sequence[Case], shipped: Shipped) -> dict[str, str]:
    """Take out of a configuration, in place, what the case sheet has no cohorts or too few lesion masks for.

    An image set or arm goes with the first cohort that is absent, a pretraining with its image set, an arm with its
    pretraining, or where its patients cannot be dealt (`shortage`); then all that names one of these: comparisons, arms
    of the report, cohorts to segment and to score. A pretraining that no arm of the study has is not interpreted.

    Parameters
    ----------
    config
        the merged configuration
    cases
        of the case sheet, without those that are excluded
    shipped
        whether the value of a key is that of the project's own file

    Returns
    -------
    dict
        name of what was left out, as ``arms.FS-STKi``, and the reason
    """
    left: dict[str, str] = {}
    cohorts = list(dict.fromkeys(case.cohort for case in cases))

    def take_out(section: str, name: str, reason: str | None) -> None:
        if reason and shipped([section, name]):
            del config[section][name]
            left[f"{section}.{name}"] = reason

    for name, members in list(config["image_sets"].items()):
        take_out("image_sets", name, absent(members, cohorts))
    for name, entry in list(config["pretrainings"].items()):
        take_out("pretrainings", name, left.get(f"image_sets.{entry['image_set']}"))
    for name, arm in list(config["arms"].items()):
        lent = [left.get(f"pretrainings.{arm[key]}") for key in ("pretraining", "statistics_from")]
        lack = shortage([case for case in cases if case.cohort in arm["train"]], config["split"]["ratios"])
        take_out("arms", name, absent(arm["train"], cohorts) or lent[0] or lent[1] or lack)
    for key in ("segment", "evaluate"):
        for cohort in config["run"][key] if shipped(["run", key]) else []:
            labelled = any(case.lesion for case in cases if case.cohort == cohort)
            lack = "none of its cases has a lesion mask" if key == "evaluate" and not labelled else None
            if reason := absent([cohort], cohorts) or lack:
                config["run"][key] = [name for name in config["run"][key] if name != cohort]
                left[f"run.{key}: {cohort}"] = reason
    _take_out_names(config, left, shipped)
    return left


def absent(names: Sequence[str], cohorts: Sequence[str]) -> str | None:
    """Say which of ``names`` is the first that is no cohort, and which one may be meant; None where all are."""
    for name in names:
        if name not in cohorts:
            alike = difflib.get_close_matches(name, cohorts, n=1)
            return f"{name!r} is not a cohort of the case sheet" + (f" (is {alike[0]!r} meant?)" if alike else "")
    return None


def _take_out_names(config: dict[str, Any], left: dict[str, str], shipped: Shipped) -> None:
    gone = {name.removeprefix("arms.") for name in left if name.startswith("arms.")}
    if shipped(["run", "arms"]):
        config["run"]["arms"] = [arm for arm in config["run"]["arms"] if arm not in gone]
    if shipped(["report", "best_arms"]):
        config["report"]["best_arms"] = [arm for arm in config["report"]["best_arms"] if arm not in gone]
    if shipped(["evaluate", "test_arms"]):
        tested = config["evaluate"]["test_arms"]
        config["evaluate"]["test_arms"] = [arm for arm in tested if arm in config["run"]["arms"]]
    # A comparison of arms that do not run is passed over, whoever wrote it.
    for family, pairs in config["evaluate"]["comparisons"].items():
        config["evaluate"]["comparisons"][family] = [pair for pair in pairs if not gone & set(pair)]
    if shipped(["report", "interpreted"]):  # nothing is pretrained for a figure alone that nobody asked for
        used = {config["arms"].get(arm, {}).get("pretraining") for arm in config["run"]["arms"]}
        config["report"]["interpreted"] = [name for name in config["report"]["interpreted"] if name in used]
