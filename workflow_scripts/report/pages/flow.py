"""The flow of the cases from the sheet to the scores, as the boxes of a diagram (after CONSORT and STARD)."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_scripts.common.vocabulary import ENSEMBLE, HELD_OUT, REPORTED_CRITERIA, SPLITS, criterion_label

Row = Mapping[str, str]

SPLIT_NAMES = {"train": "Training", "validation": "Validation", "test": "Test"}
LINE_CHARACTERS, MOST_REASONS = 34, 8
WIDTH, BOX, GAP, LINE, PADDING = 860, 270, 25, 19, 10  # of the drawing, in its units


@dataclass(frozen=True)
class Box:
    """A box of the diagram: its lines, the first of which is its heading, and its place."""

    lines: tuple[str, ...]
    x: float
    y: float

    @property
    def height(self) -> float:
        """Height that holds the lines."""
        return LINE * len(self.lines) + 2 * PADDING


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def reasons(excluded: Iterable[Row]) -> list[tuple[str, int]]:
    """Count the excluded cases by reason, the most frequent reason first."""
    return Counter(row["reason"].strip() for row in excluded).most_common()


def scored_cases(summary: Iterable[Row], min_component_ml: float) -> dict[str, list[str]]:
    """Say for each held-out split how many cases were scored under each criterion; empty where none were.

    An arm's ensemble is scored on the same cases as any other's, so the arm with the most stands for all.
    """
    most: Counter[tuple[str, str, str]] = Counter()
    for row in summary:
        if (row["member"], row["measure"]) == (ENSEMBLE, "dice") and row["scored"]:
            key = (row["split"], row["criterion"], row["cohort"])
            most[key] = max(most[key], int(row["scored"]))
    told: dict[str, list[str]] = {}
    for split in HELD_OUT:
        for criterion in REPORTED_CRITERIA:
            counts = [number for key, number in most.items() if key[:2] == (split, criterion)]
            if counts:
                told.setdefault(split, []).append(f"{sum(counts)}: {criterion_label(criterion, min_component_ml)}")
    return told


def flow(
    splits: Sequence[Row], excluded: Sequence[Row], flagged: int, scored: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the boxes of the diagram, its size, the lines between boxes and the same in one sentence.

    Parameters
    ----------
    splits
        rows of ``splits.tsv``, the included cases
    excluded
        cases that the sheet excludes, with their reasons
    flagged
        included cases with a flag of the preprocessing
    scored
        lines about the scored cases of each held-out split
    """
    centre = WIDTH / 2 - BOX / 2
    total = len(splits) + len(excluded)
    sheet = Box((f"In the case sheet: {counted(total, 'case')}",), centre, 0)
    out = Box(_excluded_lines(excluded), WIDTH - BOX, sheet.height + GAP)
    included = Box(
        (
            f"Included: {counted(len(splits), 'case')}",
            f"of {counted(_patients(splits), 'patient')} in {counted(len({r['cohort'] for r in splits}), 'cohort')}",
            f"with a flag, kept: {flagged}",
        ),
        centre,
        out.y + out.height + GAP,
    )
    bottom = included.y + included.height + 2 * GAP
    parts = [
        Box(_split_lines(split, splits, scored.get(split, ())), place * (BOX + GAP), bottom)
        for place, split in enumerate(SPLITS)
    ]
    middle = WIDTH / 2
    lines = [
        (middle, sheet.height, middle, included.y),
        (middle, out.y + out.height / 2, out.x, out.y + out.height / 2),
        (middle, included.y + included.height, middle, bottom - GAP),
        (parts[0].x + BOX / 2, bottom - GAP, parts[-1].x + BOX / 2, bottom - GAP),
        *((box.x + BOX / 2, bottom - GAP, box.x + BOX / 2, bottom) for box in parts),
    ]
    boxes = [sheet, out, included, *parts]
    return {
        "boxes": boxes,
        "lines": lines,
        "width": WIDTH,
        "box": BOX,
        "line": LINE,
        "padding": PADDING,
        "height": bottom + max(box.height for box in parts),
        "sentence": ". ".join(", ".join(box.lines) for box in boxes) + ".",
    }


def _excluded_lines(excluded: Sequence[Row]) -> tuple[str, ...]:
    lines = [f"Excluded: {counted(len(excluded), 'case')}"]
    counts = reasons(excluded)
    for reason, number in counts[:MOST_REASONS]:
        lines += textwrap.wrap(f"{number}: {reason}", LINE_CHARACTERS, max_lines=2, placeholder=" …")
    if len(counts) > MOST_REASONS:
        lines.append(f"{sum(number for _, number in counts[MOST_REASONS:])}: other reasons")
    return tuple(lines)


def _split_lines(split: str, splits: Sequence[Row], scored: Sequence[str]) -> tuple[str, ...]:
    rows = [row for row in splits if row["split"] == split]
    labelled = sum(row["lesion_ml"] != "" for row in rows)
    lines = [
        f"{SPLIT_NAMES[split]}: {counted(len(rows), 'case')}",
        f"of {counted(_patients(rows), 'patient')}",
        f"with a lesion mask: {labelled}",
    ]
    if split in HELD_OUT:
        lines += ["scored:", *scored] if scored else ["scored: none"]
    return tuple(lines)


def _patients(rows: Sequence[Row]) -> int:
    return len({(row["cohort"], row["patient"]) for row in rows})
