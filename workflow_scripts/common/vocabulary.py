"""The words that stages, rules and tables share: splits, members of an arm, criteria, tables of results.

Imports the standard library alone: every job of a cluster parses the rules, and these use this module too.
"""

from collections.abc import Iterable
from typing import NamedTuple

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
HELD_OUT = (VALIDATION, TEST)

ENSEMBLE = "ensemble"

ALL_LESIONS, LARGE, LARGE_TOTAL, LARGE_FILTERED = CRITERIA = ("all", "large", "large-total", "large-filtered")
REPORTED_CRITERIA = (ALL_LESIONS, LARGE)


class ResultTable(NamedTuple):
    """A table of results in the report; which arms are its rows is up to the study."""

    title: str
    split: str
    criteria: tuple[str, ...]


TABLES = {
    "table1": ResultTable("Table 1. Validation set, all lesions", VALIDATION, (ALL_LESIONS,)),
    "table2": ResultTable("Table 2. Validation set, larger lesions", VALIDATION, (LARGE,)),
    "table3": ResultTable("Table 3. Test set", TEST, REPORTED_CRITERIA),
    "tableB4": ResultTable("Table B.4. Two channels, validation set, all lesions", VALIDATION, (ALL_LESIONS,)),
    "tableB5": ResultTable("Table B.5. Two channels, validation set, larger lesions", VALIDATION, (LARGE,)),
    "filtered": ResultTable(
        "Apart: validation set, larger lesions, predictions filtered too", VALIDATION, (LARGE_FILTERED,)
    ),
}


def seed_member(seed: int | str) -> str:
    """Return the name of the member of an arm that was trained with ``seed``."""
    return f"seed-{seed}"


def budget_arm(arm: str, labels: int) -> str:
    """Return the name of an arm where it is trained on ``labels`` labelled patients alone."""
    return f"{arm}-labels{labels}"


def members_of(seeds: Iterable[int]) -> list[str]:
    """Return the members of an arm: one for each seed, and their ensemble."""
    return [*map(seed_member, seeds), ENSEMBLE]


def criterion_label(criterion: str, min_component_ml: float) -> str:
    """Name a criterion for readers; ``min_component_ml`` is the volume (mL) that a large component exceeds."""
    large = f"lesions > {min_component_ml:g} mL"
    return {
        ALL_LESIONS: "all lesions",
        LARGE: large,
        LARGE_TOTAL: f"all lesions of cases with > {min_component_ml:g} mL in all",
        LARGE_FILTERED: f"{large}, predictions filtered too",
    }[criterion]
