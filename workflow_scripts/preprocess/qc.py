"""Gather the numbers of a case's preprocessing that tell whether to trust it."""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid

BILATERAL_SHARE = 0.1


@dataclass(frozen=True)
class Limits:
    """Beyond these a case is flagged (config.yaml, preprocess.qc)."""

    min_cross_check_dice: float
    max_hull_excess: float
    brain_ml: tuple[float, float]
    max_lesion_outside_brain: float


def main(argv: Sequence[str] | None = None) -> None:
    """Read what the other rules wrote about a case; write one JSON file with numbers and flags."""
    arguments = _parse(argv)
    ncct = load_volume(arguments.ncct)
    facts = {
        "cohort": arguments.cohort,
        "case": arguments.case,
        **_brain_facts(read_json(arguments.brain_json)),
        "contralateral": read_json(arguments.contralateral_json),
        "registration": read_json(arguments.registration_json) if arguments.registration_json else None,
        "pixel_digest": read_json(arguments.ingest_json)["pixel_digest"],
        "final_digest": digest(ncct.data),
        **dict.fromkeys(("lesion_ml", "lesion_outside_brain_fraction", "side")),
    }
    if arguments.lesion:
        lesion, brain = load_volume(arguments.lesion, np.uint8), load_volume(arguments.brain, np.uint8)
        require_same_grid(ncct, lesion, "the final NCCT", "the lesion mask")
        require_same_grid(ncct, brain, "the final NCCT", "the brain mask")
        facts |= lesion_facts(lesion, brain.data > 0, read_affine(arguments.to_template))
    limits = Limits(
        arguments.min_cross_check_dice,
        arguments.max_hull_excess,
        tuple(arguments.brain_ml),
        arguments.max_lesion_outside_brain,
    )
    write_json(arguments.out, facts | {"flags": flags(facts, limits)})


def lesion_facts(lesion: Volume, brain: np.ndarray, to_template: np.ndarray) -> dict[str, Any]:
    """Return volume (mL), share outside the brain (``None`` for an empty mask) and side of a lesion mask."""
    inside = lesion.data > 0
    voxels = np.count_nonzero(inside)
    return {
        "lesion_ml": voxels * lesion.voxel_ml,
        "lesion_outside_brain_fraction": np.count_nonzero(inside & ~brain) / voxels if voxels else None,
        "side": side(lesion, to_template),
    }


def side(lesion: Volume, to_template: np.ndarray) -> str:
    """Say where a lesion lies: ``left``, ``right``, ``bilateral`` or, for an empty mask, ``none``.

    ``to_template`` maps the lesion's points to a template whose mid-sagittal plane is x = 0 (4×4, RAS+, mm; x grows to
    the patient's right). Bilateral: the smaller part has a tenth of the volume or more.
    """
    voxels = np.argwhere(lesion.data > 0)
    if not len(voxels):
        return "none"
    x = (to_template @ lesion.affine @ np.column_stack([voxels, np.ones(len(voxels))]).T)[0]
    right = np.count_nonzero(x > 0) / len(x)
    if min(right, 1 - right) >= BILATERAL_SHARE:
        return "bilateral"
    return "right" if right > 0.5 else "left"


def flags(facts: dict[str, Any], limits: Limits) -> list[str]:
    """Name what is suspicious about a case; docs/real_scans.md says what each flag means."""
    dice, hull, outside = (facts[name] for name in ("cross_check_dice", "hull_excess", "lesion_outside_brain_fraction"))
    registration = facts["registration"]
    suspicious = {
        "brain masks disagree": dice is not None and dice < limits.min_cross_check_dice,
        "brain mask not convex": hull is None or hull > limits.max_hull_excess,
        "brain volume": not limits.brain_ml[0] <= facts["brain_ml"] <= limits.brain_ml[1],
        "mirroring implausible": bool(facts["contralateral"]["doubts"]),
        "registration implausible": registration is not None and bool(registration["doubts"]),
        "lesion outside brain": outside is not None and outside > limits.max_lesion_outside_brain,
    }
    return [name for name, applies in suspicious.items() if applies]


def digest(hu: np.ndarray) -> str:
    """Return the SHA-256 of an image's values rounded to int16, in array order (x slowest), with its shape."""
    values = np.ascontiguousarray(np.rint(hu).astype("<i2"))
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()


def _brain_facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("brain_ml", "hull_excess", "cross_check_dice")}


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    parser.add_argument("--ncct", required=True, help="final NCCT")
    parser.add_argument("--brain", required=True, help="final brain mask")
    parser.add_argument("--lesion", help="final lesion mask")
    parser.add_argument("--to-template", required=True, help="affine from the NCCT to the CT template")
    for name in ("ingest", "brain", "contralateral"):
        parser.add_argument(f"--{name}-json", required=True)
    parser.add_argument("--registration-json", help="facts on the registration of the MRI")
    parser.add_argument("--min-cross-check-dice", type=float, required=True)
    parser.add_argument("--max-hull-excess", type=float, required=True)
    parser.add_argument("--brain-ml", type=float, nargs=2, required=True, metavar=("LOW", "HIGH"))
    parser.add_argument("--max-lesion-outside-brain", type=float, required=True)
    parser.add_argument("--out", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
