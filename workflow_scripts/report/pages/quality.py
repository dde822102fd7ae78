"""The numbers of a case's preprocessing, explained to a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_scripts.common.files import read_json


@dataclass(frozen=True)
class Meaning:
    """How a check of a case reads: the name and the format of its number, and what is wrong beyond the limit."""

    number: str
    form: str
    text: str


DOUBTS = "{:.0f}"
FLAGS = {
    "brain masks disagree": Meaning(
        "agreement with a second brain mask (Dice)",
        "{:.3f}",
        "The brain mask differs from that of a second, independent method: one of them lost a part or spilled out.",
    ),
    "brain mask not convex": Meaning(
        "convex hull beyond the brain mask (share)",
        "{:.3f}",
        "The brain mask has deep notches: brain may be missing, or other tissue may be in it.",
    ),
    "brain volume": Meaning(
        "brain volume (mL)",
        "{:.0f}",
        "The brain mask is smaller or larger than brains are: a failed mask, a cut scan, or another part of the body.",
    ),
    "brain mask too small": Meaning(
        "soft tissue between brain mask and skull (mm)",
        "{:.1f}",
        "The brain mask ends well before the skull all around: the outer brain is missing from it.",
    ),
    "brain cut off": Meaning(
        "lowest or highest slice of the brain over the largest (share)",
        "{:.2f}",
        "The brain ends in a plane instead of a dome: the scan does not reach its top or its bottom.",
    ),
    "metal near the brain": Meaning(
        "metal in the brain mask or within 30 mm of it (mL)",
        "{:.2f}",
        "Streaks of a clip, a coil or a plate may have cost the mask a part of the brain, and change the values around "
        "it. Look at the brain mask; give a better one in column brain_mask of the case sheet.",
    ),
    "skull defect": Meaning(
        "upper surface of the brain without bone over it (cm²)",
        "{:.1f}",
        "Bone lacks over a part of the brain: a craniectomy, a wide burr hole, an open fontanelle. The brain mask may "
        "have lost a wedge there, or bulge out of the skull. Look at it; give a better one in column brain_mask of the "
        "case sheet.",
    ),
    "thick slices": Meaning(
        "distance between neighbouring slices of the NCCT (mm)",
        "{:.1f}",
        "The slices lie so far apart that small lesions are missed and all volumes are rough. Give a series of thinner "
        "slices if there is one; in a study, leave the case out (column exclude) where volumes matter.",
    ),
    "gaps between slices": Meaning(
        "distance between neighbouring slices of the NCCT over their thickness",
        "{:.2f}",
        "Between the slices lies tissue that none of them shows: every other one may not have been sent, or their "
        "positions are wrong. Fetch the whole series; all volumes depend on the distance between the slices.",
    ),
    "identity in the pixels": Meaning(
        "signs in the DICOM headers that the images show text or a face",
        "{:.0f}",
        "The headers announce text, graphics, recognisable features or a captured screen (quality.marks in case.json, "
        "or in a new patient's report.json, says which): look at the images before you hand them, or this page, to "
        "anybody.",
    ),
    "no native CT": Meaning(
        "signs in the headers that the NCCT is no native CT",
        "{:.0f}",
        "The headers say contrast medium, a virtual non-contrast or monoenergetic image, another computed one, or a "
        "flat panel (quality.not_native in case.json, or in a new patient's report.json, says which): its HU are "
        "estimates or other values, and infarcts may be hidden or feigned. Give the native series (column ncct_series "
        "of the case sheet; --series for a single new patient).",
    ),
    "slices missing": Meaning(
        "slices of NCCT or MRI that are missing or damaged",
        "{:.0f}",
        "Slices are missing inside a scan, where their neighbours stand for them, or files beside it are damaged or "
        "unlike the others and may have been slices at its ends.",
    ),
    "header half broken": Meaning(
        "affines and voxel sizes in the NIfTI headers that are broken",
        "{:.0f}",
        "A header announces a place of the image by a qform and an sform, and one of the two is none, so the other "
        "one was taken, or its voxel sizes contradict the affine. Look whether left, right and the voxel size are as "
        "they should be.",
    ),
    "mirroring implausible": Meaning(
        "doubts about the mirroring",
        DOUBTS,
        "The head was stretched or turned more than heads differ to lie on the template or on its own mirror image, or "
        "the two do not resemble each other: the mirrored and the difference image may be wrong.",
    ),
    "registration implausible": Meaning(
        "doubts about the registration of the MRI",
        DOUBTS,
        "From every start, the registration of the MRI stretches or turns it too much, leaves the brains apart, or "
        "made them fit less well: a lesion mask drawn on the MRI may lie in the wrong place.",
    ),
    "MRI of another shape": Meaning(
        "deformation of the MRI to fit the NCCT (mm, root mean square)",
        "{:.1f}",
        "The MRI fits the NCCT only when it is stretched more than two scans of one head need: it may show another "
        "patient, or one of the two brain masks lost a part or spilled out. Compare the ventricles on the overlay. Not "
        "every MRI of another patient needs so much: a missing flag proves nothing.",
    ),
    "MRI misplaced": Meaning(
        "shift that would make the MRI fit best (mm)",
        "{:.0f}",
        "The MRI would fit the NCCT better if it were shifted: it is misregistered, and a lesion mask drawn on it lies "
        "in the wrong place.",
    ),
    "MRI fits mirrored NCCT as well": Meaning(
        "fit of the MRI to the NCCT over that to the mirrored NCCT",
        "{:.2f}",
        "The MRI fits the NCCT no better than its mirror image: left and right may be swapped in one of the two. "
        "The MRI of another patient can show so, too, but most do not.",
    ),
    "lesion outside brain": Meaning(
        "lesion outside the brain mask (share)",
        "{:.3f}",
        "Part of the lesion mask lies outside the brain mask: one of them is wrong or misplaced.",
    ),
    "lesion of half the brain": Meaning(
        "lesion over brain (share of the volume)",
        "{:.2f}",
        "The lesion mask has more than half the brain's volume: it may be a mask of the brain, or an inverted one.",
    ),
    "lesion on the brighter side": Meaning(
        "lesion darker than its mirrored place (HU)",
        "{:.1f}",
        "The place under the lesion mask is brighter than the same place on the other side: left and right of the mask "
        "may be swapped, it may lie in the wrong place, or the lesion may have bled.",
    ),
}


def read_cases(preprocess: Path, cases: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Read the ``case.json`` of each case (a row with cohort and case), in their order."""
    return [read_json(preprocess / row["cohort"] / row["case"] / "case.json") for row in cases]


def by_concern(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the contents of ``case.json``: the highest concern first, then more flags, then by name."""

    def order(case: Mapping[str, Any]) -> tuple[float, int, str, str]:
        facts, quality = case["facts"], case["quality"]
        return -quality["concern"], -len(quality["flags"]), facts["cohort"], facts["case"]

    return sorted(cases, key=order)


def explained(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Return each flag with its meaning."""
    return [(flag, FLAGS[flag].text) for flag in flags]


def readings(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the checks of a case as a reader sees them: number, value, limit, level, whether flagged."""
    rows = []
    for check in quality["checks"]:
        meaning = FLAGS[check["flag"]]
        shown = {name: meaning.form.format(check[name]).replace("-", "−") for name in ("value", "limit")}
        rows.append({"number": meaning.number, **shown, "level": check["level"], "flagged": check["level"] > 1})
    return sorted(rows, key=lambda row: -row["level"])
