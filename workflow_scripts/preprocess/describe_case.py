"""Describe a case: the facts that later stages use, and the numbers that tell whether to trust its images."""

import argparse
from collections.abc import Sequence

import numpy as np

from workflow_scripts.common.acquisition import stack_of
from workflow_scripts.common.array_digests import image_digest
from workflow_scripts.common.cli import add_case, run
from workflow_scripts.common.files import read_json, write_json
from workflow_scripts.common.lesion_facts import lesion_facts
from workflow_scripts.common.settings import add_options, from_options
from workflow_scripts.common.transform import read_affine
from workflow_scripts.common.volume import load_volume, require_same_grid, to_ras
from workflow_scripts.preprocess.quality.brain_mask import end_share
from workflow_scripts.preprocess.quality.checks import QualityLimits, checks, concern, flags
from workflow_scripts.preprocess.quality.lesion_mask import lesion_quality
from workflow_scripts.preprocess.quality.mri_fit import mri_quality

BRAIN_QUALITY = ("hull_excess", "cross_check_dice", "tissue_beyond_mm", "metal_ml", "skull_gap_cm2")
LESION_FACTS = ("lesion_ml", "side")
OPTIONAL_QUALITY = ("lesion_outside_brain_fraction", "lesion_darker_hu", "mri_offset_mm", "mri_side_ratio")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_case(parser)
    for name in ("ncct", "mirrored", "difference", "brain"):
        parser.add_argument(f"--{name}", required=True, help="final image")
    parser.add_argument("--mri", help="registered MRI, 0 outside its brain")
    parser.add_argument("--lesion", help="final lesion mask")
    parser.add_argument("--to-template", required=True, help="affine from the NCCT to the CT template")
    for name in ("ingest", "brain", "contralateral"):
        parser.add_argument(f"--{name}-json", required=True)
    parser.add_argument("--mri-ingest-json", nargs="*", default=[], help="records of the MRI")
    parser.add_argument("--registration-json", help="facts on the registration of the MRI")
    add_options(parser, QualityLimits)
    parser.add_argument("--out", required=True, help="JSON")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what the other rules wrote about a case; write one JSON file with ``facts`` and ``quality``."""
    arguments = _parse(argv)
    ncct, mirrored = load_volume(arguments.ncct), load_volume(arguments.mirrored)
    require_same_grid(ncct, mirrored, "the final NCCT", "the mirrored NCCT")
    brain = load_volume(arguments.brain, np.uint8)
    require_same_grid(ncct, brain, "the final NCCT", "the brain mask")
    inside, brain_record = brain.data > 0, read_json(arguments.brain_json)
    ingested = read_json(arguments.ingest_json)
    facts = {
        "cohort": arguments.cohort,
        "case": arguments.case,
        "brain_ml": brain_record["brain_ml"],
        "pixel_digest": ingested["pixel_digest"],
        "final_digest": image_digest(ncct.data),
        **dict.fromkeys(LESION_FACTS),
    }
    records = [ingested, *map(read_json, arguments.mri_ingest_json)]
    stacks = [record["slices"] for record in records if "slices" in record]
    quality = {
        "marks": sorted({mark for record in records for mark in record["marks"]}),
        "not_native": ingested["not_native"],
        "broken_forms": sum(len(record.get("broken_forms", [])) for record in records),
        "missing_slices": sum(slices["missing"] + slices["lost_at_the_ends"] for slices in stacks),
        "gap_over_thickness": ingested["gap_over_thickness"],
        "slice_mm": stack_of(ingested).largest_step_mm,
        **{name: brain_record[name] for name in BRAIN_QUALITY},
        "end_share": end_share(to_ras(brain).data > 0),
        "contralateral": read_json(arguments.contralateral_json),
        "registration": read_json(arguments.registration_json) if arguments.registration_json else None,
        **dict.fromkeys(OPTIONAL_QUALITY),
    }
    if arguments.mri:
        quality |= mri_quality(ncct, mirrored, inside, load_volume(arguments.mri))
    if arguments.lesion:
        lesion = load_volume(arguments.lesion, np.uint8)
        require_same_grid(ncct, lesion, "the final NCCT", "the lesion mask")
        facts |= lesion_facts(lesion, read_affine(arguments.to_template))
        quality |= lesion_quality(lesion.data > 0, inside, load_volume(arguments.difference).data)
    judged = checks(facts | quality, from_options(QualityLimits, arguments))
    quality |= {"checks": judged, "flags": flags(judged), "concern": concern(judged)}
    write_json(arguments.out, {"facts": facts, "quality": quality})


if __name__ == "__main__":
    run(main)
