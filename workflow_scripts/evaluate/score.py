"""Score one arm, test set apart: each member and the ensemble, each labelled case, each criterion (docs/metrics.md)."""

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.common.acquired_grid import to_acquired
from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, write_tsv
from workflow_scripts.common.vocabulary import ALL_LESIONS, ENSEMBLE, LARGE, LARGE_FILTERED, LARGE_TOTAL, SPLITS, TEST
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid
from workflow_scripts.evaluate.measures.acquired import AcquiredMask, volume_ml
from workflow_scripts.evaluate.measures.lesionwise import VOLUME_TOLERANCE, detect, without_small_components
from workflow_scripts.evaluate.measures.surface_distance import (
    diagonal_mm,
    hd95_mm,
    surface_dice,
    surface_distances,
)

log = logging.getLogger(__name__)

COLUMNS = (
    "arm",
    "member",
    "cohort",
    "patient",
    "case",
    "split",
    "criterion",
    "dice",
    "hd95_mm",
    "hd95_penalised_mm",
    "surface_dice_2mm",
    "surface_dice_5mm",
    "volume_difference_ml",
    "signed_volume_difference_ml",
    "predicted_ml",
    "reference_ml",
    "lesions_found",
    "lesions_missed",
    "false_lesions",
    "lesion_f1",
    "lesion_sensitivity",
    "lesion_sensitivity_penalised",
)

Scores = dict[str, float | int | str | None]
Rows = list[dict[str, Any]]


def score_pair(reference: Volume, prediction: Volume) -> Scores:
    """Return every measure of one boolean prediction; what is undefined is None, and has a penalised column.

    The penalised value is that of a perfect prediction where both masks are empty, and the worst possible where one is.
    """
    predicted, referred = volume_ml(prediction), volume_ml(reference)
    shared = volume_ml(reference.with_data(reference.data & prediction.data))
    overlap = 2 * shared / (predicted + referred) if predicted + referred else 1.0
    distances = surface_distances(reference, prediction)
    # With an empty mask Dice is 1 or 0, and so is whatever has no value then.
    hd95 = hd95_mm(distances)
    detection = detect(reference.data, prediction.data)
    sensitivity = detection.sensitivity
    return {
        "dice": overlap,
        "hd95_mm": hd95,
        "hd95_penalised_mm": (1 - overlap) * diagonal_mm(reference) if hd95 is None else hd95,
        **{f"surface_dice_{mm}mm": surface_dice(distances, mm) if distances else overlap for mm in (2, 5)},
        "volume_difference_ml": abs(predicted - referred),
        "signed_volume_difference_ml": predicted - referred,
        "predicted_ml": predicted,
        "reference_ml": referred,
        "lesions_found": detection.found,
        "lesions_missed": detection.missed,
        "false_lesions": detection.false,
        "lesion_f1": detection.f1,
        "lesion_sensitivity": sensitivity,
        "lesion_sensitivity_penalised": overlap if sensitivity is None else sensitivity,
    }


def score_case(reference: Volume, predictions: Mapping[str, Volume], min_component_ml: float) -> list[Scores]:
    """Score the members of an arm on one case.

    Criterion ``all`` compares the masks as they are. ``large`` removes the components of the reference of
    ``min_component_ml`` or less and leaves the prediction as it is; ``large-filtered`` removes them from both. A case
    whose reference is empty after that has no row of these two. ``large-total`` compares the masks as they are, of
    cases whose whole reference has more than ``min_component_ml``.
    """
    large = without_small_components(reference, min_component_ml)
    total_ml = volume_ml(reference)
    rows: list[Scores] = []
    for member, prediction in predictions.items():
        every = score_pair(reference, prediction)
        scored = {ALL_LESIONS: every}
        if large.data.any():
            scored[LARGE] = every if np.array_equal(large.data, reference.data) else score_pair(large, prediction)
            filtered = without_small_components(prediction, min_component_ml)
            unchanged = np.array_equal(filtered.data, prediction.data)
            scored[LARGE_FILTERED] = scored[LARGE] if unchanged else score_pair(large, filtered)
        if total_ml > min_component_ml * (1 + VOLUME_TOLERANCE):
            scored[LARGE_TOTAL] = every
        rows += [{"member": member, "criterion": name} | scores for name, scores in scored.items()]
    return rows


def _load_mask(path: Path) -> Volume:
    volume = load_volume(path)
    return volume.with_data(volume.data > 0.5)


def score_files(
    case: str, references: Path, segmentations: Path, members: Sequence[str], min_component_ml: float
) -> list[Scores]:
    """Score the masks of an arm's members on one case; ``case`` is cohort/case."""
    reference = _load_mask(references / case / "lesion.nii.gz")
    predictions = {member: _load_mask(segmentations / member / f"{case}.nii.gz") for member in members}
    for member, prediction in predictions.items():
        require_same_grid(reference, prediction, f"the lesion mask of {case}", f"the segmentation of {member}")
    return score_case(reference, predictions, min_component_ml)


def _score_acquired(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Score the ensemble's mask on the acquired slices. A reference drawn on them lies there as it was drawn."""
    record = read_json(arguments.ingest / case / "ncct.json")
    folder = arguments.ingest if case in arguments.drawn_on_ncct else arguments.references
    drawn = load_volume(folder / case / "lesion.nii.gz")
    found = to_acquired(drawn.with_data((drawn.data > 0.5).astype(np.uint8)), record)
    reference = AcquiredMask(found.data > 0, found.affine, stack_of(record))
    prediction = _load_mask(arguments.segmentations / "original" / f"{case}.nii.gz")
    require_same_grid(reference, prediction, f"the acquired scan of {case}", "the segmentation")
    predicted = {ENSEMBLE: reference.with_data(prediction.data)}
    return score_case(reference, predicted, arguments.min_component_ml)


def basic_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the command line that scoring one arm on the final grid needs, whatever the split."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--arm", required=True)
    found.add_argument("--members", nargs="+", required=True, help="folders below --segmentations")
    found.add_argument("--cases", nargs="+", required=True, help="labelled cases, each as cohort/case")
    found.add_argument("--segmentations", type=Path, required=True, help="folder with {member}/{cohort}/{case}.nii.gz")
    found.add_argument("--references", type=Path, required=True, help="folder with {cohort}/{case}/lesion.nii.gz")
    found.add_argument("--splits", type=Path, required=True, help="table of the split stage")
    found.add_argument("--min-component-ml", type=float, required=True, help="limit of criterion large, mL")
    found.add_argument("--out", type=Path, required=True, help="TSV, scores on the final grid")
    return found


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the command line that scoring one arm on both grids needs, whatever the split."""
    found = basic_parser(description)
    found.add_argument("--ingest", type=Path, required=True, help="folder with {cohort}/{case}/ncct.json")
    found.add_argument("--drawn-on-ncct", nargs="*", default=[], help="cases whose lesion was drawn on the NCCT")
    found.add_argument("--out-acquired", type=Path, required=True, help="TSV, scores on the acquired slices")
    return found


def cases_of(arguments: argparse.Namespace, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the cases in the splits ``wanted``, as cohort/case, each with the columns that all its rows share."""
    splits = {f"{row['cohort']}/{row['case']}": row for row in read_tsv(arguments.splits)}
    for case in arguments.cases:
        if case not in splits:
            raise InputError(f"Case {case} is not in {arguments.splits.name}.", "run the split stage again.")
        if splits[case]["split"] in wanted:
            cohort, name = case.split("/")
            fixed = {"arm": arguments.arm, "cohort": cohort, "case": name}
            yield case, fixed | {column: splits[case][column] for column in ("patient", "split")}


def score_splits(arguments: argparse.Namespace, wanted: Sequence[str]) -> tuple[Rows, Rows]:
    """Return the rows (`COLUMNS`) of an arm's cases in the splits ``wanted``, on the final and the acquired grid.

    No mask of a case of another split is read.
    """
    final: Rows = []
    acquired: Rows = []
    for case, fixed in cases_of(arguments, wanted):
        scored = score_files(
            case, arguments.references, arguments.segmentations, arguments.members, arguments.min_component_ml
        )
        final += [fixed | row for row in scored]
        acquired += [fixed | row for row in _score_acquired(case, arguments)]
        log.info("%s scored", case)
    return final, acquired


def main(argv: Sequence[str] | None = None) -> None:
    """Write the scores of one arm as a table; those of the test set are `score_test`'s."""
    arguments = parser(__doc__).parse_args(argv)
    final, acquired = score_splits(arguments, [split for split in SPLITS if split != TEST])
    write_tsv(arguments.out_acquired, acquired, COLUMNS)
    write_tsv(arguments.out, final, COLUMNS)


if __name__ == "__main__":
    run(main)
