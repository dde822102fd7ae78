"""Score one arm: each member and the ensemble, each labelled case, each lesion-size criterion (paper 3.6)."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.masks import dice
from workflow_scripts.common.vocabulary import ALL_LESIONS, LARGE, LARGE_FILTERED
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid
from workflow_scripts.evaluate.measures.metrics import hd95_mm, hd95_penalised_mm, volume_ml, without_small_components

log = logging.getLogger(__name__)

COLUMNS = (
    "arm",
    "member",
    "cohort",
    "case",
    "split",
    "criterion",
    "dice",
    "hd95_mm",
    "hd95_penalised_mm",
    "volume_difference_ml",
    "predicted_ml",
    "reference_ml",
)


def score_pair(reference: Volume, prediction: Volume) -> dict[str, float | None]:
    """Return every measure of one boolean prediction; an undefined HD95 is None.

    ``volume_difference_ml`` is absolute, the paper's AVD; the sign is that of predicted_ml − reference_ml.
    """
    hd95 = hd95_mm(reference, prediction)
    predicted, referred = volume_ml(prediction), volume_ml(reference)
    return {
        "dice": dice(reference.data, prediction.data),
        "hd95_mm": None if hd95 != hd95 else hd95,
        "hd95_penalised_mm": hd95_penalised_mm(reference, prediction, hd95),
        "volume_difference_ml": abs(predicted - referred),
        "predicted_ml": predicted,
        "reference_ml": referred,
    }


def score_case(
    reference: Volume, predictions: Mapping[str, Volume], min_component_ml: float
) -> list[dict[str, float | str | None]]:
    """Score the members of an arm on one case.

    Criterion ``all`` compares the masks as they are. ``large`` removes the components of the reference of
    ``min_component_ml`` or less and leaves the prediction as it is; ``large-filtered`` removes them from both. A case
    whose reference is empty after that has no row of these two.
    """
    large = without_small_components(reference, min_component_ml)
    rows: list[dict[str, float | str | None]] = []
    for member, prediction in predictions.items():
        pairs = {ALL_LESIONS: (reference, prediction)}
        if large.data.any():
            pairs[LARGE] = (large, prediction)
            pairs[LARGE_FILTERED] = (large, without_small_components(prediction, min_component_ml))
        rows += [{"member": member, "criterion": name} | score_pair(*pair) for name, pair in pairs.items()]
    return rows


def _load_mask(path: Path) -> Volume:
    volume = load_volume(path)
    return volume.with_data(volume.data > 0.5)


def _score_files(
    case: str, references: Path, segmentations: Path, members: Sequence[str], min_component_ml: float
) -> list[dict[str, Any]]:
    reference = _load_mask(references / case / "lesion.nii.gz")
    predictions = {member: _load_mask(segmentations / member / f"{case}.nii.gz") for member in members}
    for member, prediction in predictions.items():
        require_same_grid(reference, prediction, f"the lesion mask of {case}", f"the segmentation of {member}")
    return score_case(reference, predictions, min_component_ml)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--members", nargs="+", required=True, help="folders below --segmentations")
    parser.add_argument("--cases", nargs="+", required=True, help="labelled cases, each as cohort/case")
    parser.add_argument("--segmentations", type=Path, required=True, help="folder with {member}/{cohort}/{case}.nii.gz")
    parser.add_argument("--references", type=Path, required=True, help="folder with {cohort}/{case}/lesion.nii.gz")
    parser.add_argument("--splits", type=Path, required=True, help="table of the split stage")
    parser.add_argument("--min-component-ml", type=float, required=True, help="limit of criterion large, mL")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the scores of one arm as a table."""
    arguments = _parse(argv)
    splits = {f"{row['cohort']}/{row['case']}": row["split"] for row in read_tsv(arguments.splits)}
    rows: list[dict[str, Any]] = []
    for case in arguments.cases:
        if case not in splits:
            raise InputError(f"Case {case} is not in {arguments.splits.name}.", "run the split stage again.")
        cohort, name = case.split("/")
        fixed = {"arm": arguments.arm, "cohort": cohort, "case": name, "split": splits[case]}
        scored = _score_files(
            case, arguments.references, arguments.segmentations, arguments.members, arguments.min_component_ml
        )
        rows += [fixed | row for row in scored]
        log.info("%s scored", case)
    write_tsv(arguments.out, rows, COLUMNS)


if __name__ == "__main__":
    run(main)
