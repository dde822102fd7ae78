"""What the numbers of a case's preprocessing mean to a reader, and which cases want a look first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.files import read_json

FLAGS = {
    "brain masks disagree": "The brain mask differs from that of a second, independent method.",
    "brain mask not convex": "The brain mask has deep notches: brain may be missing, or other tissue may be in it.",
    "brain volume": "The brain mask is smaller or larger than brains are.",
    "mirroring implausible": "The registration to the template stretches or turns the head more than heads differ: "
    "the mirrored and the difference image may be wrong.",
    "registration implausible": "The registration of the MRI stretches or turns it too much, or made it fit less well: "
    "a lesion mask drawn on the MRI may lie in the wrong place.",
    "lesion outside brain": "Part of the lesion mask lies outside the brain mask: one of them is wrong or misplaced.",
}

NUMBERS = (
    ("brain_ml", "brain volume", "{:.0f} mL"),
    ("cross_check_dice", "agreement with the second brain mask", "Dice {:.3f}"),
    ("hull_excess", "convex hull beyond the brain mask (share)", "{:.3f}"),
    ("lesion_ml", "lesion volume", "{:.1f} mL"),
    ("lesion_outside_brain_fraction", "lesion outside the brain mask (share)", "{:.3f}"),
    ("side", "side of the lesion", "{}"),
)


def read_quality(preprocess: Path, cases: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Read the quality file of each case (a row with cohort and case), in their order."""
    return [read_json(preprocess / row["cohort"] / row["case"] / "qc.json") for row in cases]


def concern(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a key that sorts cases with more flags, and then with a lower agreement of brain masks, to the front."""
    dice = facts["cross_check_dice"]
    return (-len(facts["flags"]), 1.0 if dice is None else dice, facts["cohort"], facts["case"])


def numbers(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known about a case as pairs of a name and a formatted value."""
    return [(name, form.format(facts[key])) for key, name, form in NUMBERS if facts.get(key) is not None]


def explained(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Return each flag with its meaning; a flag without an entry in `FLAGS` keeps its name alone."""
    return [(flag, FLAGS.get(flag, "")) for flag in flags]
