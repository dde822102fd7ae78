"""Read a tree that is laid out like BIDS: CT, MRI and lesion masks as NIfTI.

BIDS does not know CT yet, so this takes what people write: ``sub-*/[ses-*/]{anat,ct}/*_{ct,CT,ncct}.nii.gz``. Masks lie
under ``derivatives`` or beside the images and say ``lesion`` or ``brain`` in their names. Its grid decides which image
a mask belongs to. Where two files could be meant, none is taken, and both are named in left_out.tsv.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.dicom.computed import computed
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume
from workflow_scripts.datasets.parts.contract import (
    FoundCase,
    LeftOut,
    add_cohort,
    add_labels,
    cohort_name,
    identifier,
    parse,
    reader_parser,
    write,
)
from workflow_scripts.datasets.parts.grids import drawn_on, grid_of, onto
from workflow_scripts.datasets.parts.masks import binary, merge_labels
from workflow_scripts.datasets.parts.tree import files

NAME = re.compile(r"sub-(?P<subject>[^_]+)(_ses-(?P<session>[^_]+))?(?P<entities>(_[a-z]+-[^_]+)*)_(?P<suffix>[^_.]+)")
CT, MRI, MASK, BRAIN = {"ct", "ncct"}, {"dwi", "adc"}, {"mask", "dseg", "msk"}, "brainmask"
NOT_PLAIN = re.compile(r"cta|ctp|angio|perf|bone|contrast|venous|arterial|sharp")
PLAIN = re.compile(r"(non|pre|without|no)contrast")
LESION = re.compile(r"lesion|infarct|stroke")
REGION = re.compile(r"_(?:label|desc)-([^_]+)")
AMBIGUOUS = "keep one in the folder, or add the row by hand."


@dataclass(frozen=True)
class File:
    """A NIfTI file and what its name says, in small letters except for subject and session."""

    path: Path
    subject: str
    session: str
    entities: str
    suffix: str
    derived: bool


def read(folder: Path, cohort: str, labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    """Yield one case for each subject and session with a CT; ``labels`` of a mask are lesion, empty: its only one."""
    subjects: dict[str, list[File]] = defaultdict(list)
    for path in files(folder):
        if path.name.endswith((".nii", ".nii.gz")) and (one := _named(path, folder)):
            subjects[one.subject].append(one)
    for subject, found in sorted(subjects.items()):
        yield from _read_subject(cohort, subject, found, labels)


def _named(path: Path, root: Path) -> File | None:
    match = NAME.fullmatch(path.name.split(".nii")[0])
    if not match:
        return None
    suffix, entities = match["suffix"].lower(), match["entities"].lower()
    if suffix == "lesion-msk":
        suffix, entities = "msk", f"{entities}_label-lesion"
    derived = "derivatives" in path.relative_to(root).parts
    return File(path, match["subject"], match["session"] or "", entities, suffix, derived)


def _read_subject(cohort: str, subject: str, found: Sequence[File], labels: Set[int]) -> Iterator[FoundCase | LeftOut]:
    scans: dict[str, list[File]] = defaultdict(list)
    patient = identifier(f"sub-{subject}")
    for one in found:
        if one.suffix in CT and not one.derived:
            if why := _why_not_plain(one):
                yield LeftOut(patient, one.path.name, why)
            else:
                scans[one.session].append(one)
    if not scans:
        yield LeftOut(patient, "case", "there is no plain CT", "see docs/public_data.md for the names that are read.")
    for session, candidates in sorted(scans.items()):
        case = identifier(f"{patient}-ses-{session}" if session else patient)
        if len(candidates) > 1:
            yield LeftOut(case, "case", f"several CT: {_names(candidates)}", AMBIGUOUS)
            continue
        # A follow-up MRI lies in a session of its own; which CT it follows is clear where there is one.
        near = found if len(scans) == 1 else [one for one in found if one.session == session]
        yield from _read_case(cohort, patient, case, candidates[0], near, labels)


def _read_case(
    cohort: str, patient: str, case: str, ct: File, near: Sequence[File], labels: Set[int]
) -> Iterator[FoundCase | LeftOut]:
    mri: dict[str, Path] = {}
    try:
        grid_of(ct.path)
    except InputError as error:
        yield LeftOut.because(case, "case", error)
        return
    for modality in sorted(MRI):
        images = [one for one in near if one.suffix == modality and not one.derived]
        if len(images) == 1:
            mri[modality] = images[0].path
        elif images:
            yield LeftOut(case, modality, f"several: {_names(images)}", AMBIGUOUS)
    lesion, space = None, "ncct"
    try:
        lesion, space = _lesion([one for one in near if one.suffix in MASK], {"ncct": ct.path, **mri}, labels)
    except InputError as error:
        yield LeftOut.because(case, "lesion", error)
    brain = None
    try:
        brain = _brain_mask(near, ct)
    except InputError as error:
        yield LeftOut.because(case, "brain mask", error)
    # lesion_space mri is the first one of the row.
    ordered = {space: mri[space], **mri} if space in mri else mri
    yield FoundCase(
        cohort,
        patient,
        case,
        ct.path,
        mri=ordered,
        lesion=lesion,
        lesion_space="mri" if space in mri else "ncct",
        brain_mask=brain,
    )


def _lesion(masks: Sequence[File], images: Mapping[str, Path], labels: Set[int]) -> tuple[Volume, str]:
    """Return the mask and the key of the image that it lies on."""
    named = [one for one in masks if _is_lesion(one)]
    if not named:
        others = f"; not said to be of a lesion: {_names(masks)}" if masks else ""
        raise InputError(f"There is no lesion mask{others}.", "name it …_label-lesion_mask.nii.gz.")
    placed = [(one, space) for one in named if (space := drawn_on(one.path, images))]
    if not placed:
        raise InputError(
            f"No mask has the grid of {', '.join(images)} ({_names(named)}).",
            "give the mask on the grid of the image that it was drawn on.",
        )
    if len(placed) > 1:
        raise InputError(f"Several masks: {_names([one for one, _ in placed])}.", AMBIGUOUS)
    one, space = placed[0]
    mask = load_volume(one.path, given=True)
    merged = mask.with_data(merge_labels(mask.data, labels)) if labels else binary(mask)
    return onto(merged, images[space]), space


def _is_lesion(one: File) -> bool:
    """Say whether a mask's name says lesion; ``_msk`` alone does, as in ISLES, unless it names another region."""
    regions = _regions(one)
    return any(LESION.search(region) for region in regions) if regions else one.suffix == "msk"


def _brain_mask(near: Sequence[File], ct: File) -> Path | None:
    """Return the mask of the brain on the grid of the CT, if there is one."""
    named = [one for one in near if one.suffix == BRAIN or (one.suffix in MASK and _regions(one) == ["brain"])]
    brains = [one for one in named if drawn_on(one.path, {"ncct": ct.path})]
    if len(brains) > 1:
        raise InputError(f"Several brain masks: {_names(brains)}.", AMBIGUOUS)
    return brains[0].path if brains else None


def _regions(one: File) -> list[str]:
    return REGION.findall(one.entities)


def _why_not_plain(one: File) -> str:
    if re.search(r"_ce-", one.entities):
        return "contrast medium (ce-)"
    found = NOT_PLAIN.search(PLAIN.sub("", one.entities))
    made = computed(set(), one.entities.upper())
    return f"its name says {found[0] if found else made}" if found or made else ""


def _names(some: Sequence[File]) -> str:
    return ", ".join(sorted(one.path.name for one in some))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = reader_parser(__doc__)
    add_cohort(parser)
    add_labels(parser, None, frozenset(), "default: the only label that a mask has")
    return parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _parse(argv)
    write(read(arguments.folder, cohort_name(arguments), frozenset(arguments.labels)), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
