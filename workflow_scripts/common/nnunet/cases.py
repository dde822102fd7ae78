"""Cases of a dataset: which are taken, where their images lie, and whether they can be used."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import GRID_TOLERANCE_MM, load_volume, require_same_grid

COLUMNS = ("cohort", "case", "split", "key", "label_voxels")


@dataclass(frozen=True)
class DatasetCase:
    """A case of an nnU-Net dataset: ``images`` one file a channel, ``label`` on the same grid."""

    cohort: str
    case: str
    split: str
    images: tuple[Path, ...]
    label: Path

    @property
    def key(self) -> str:
        """Name of the case inside the dataset; cases are unique only within their cohort."""
        return f"{self.cohort}__{self.case}"

    @property
    def row(self) -> dict[str, str]:
        """The case's row of ``cases.tsv``, but for the count of label voxels."""
        return {"cohort": self.cohort, "case": self.case, "split": self.split, "key": self.key}


def channel_files(folder: Path, channels: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of a case's channels (``ncct``, ``difference``) in the folder of its final images."""
    return tuple(folder / f"{channel}.nii.gz" for channel in channels)


def select_cases(
    splits: Iterable[Mapping[str, str]],
    preprocess: Path,
    label: str,
    channels: Sequence[str],
    *,
    wanted: Collection[tuple[str, str]],
    wanted_splits: Collection[str],
) -> list[DatasetCase]:
    """Pick cases out of the split table, sorted by key.

    Parameters
    ----------
    splits
        rows with cohort, case and split
    preprocess
        folder that holds ``{cohort}/{case}/`` with the final images
    label
        name of the label image: ``brain`` or ``lesion``
    channels
        names of the channels' images
    wanted
        (cohort, case) that may be taken
    wanted_splits
        splits that are taken
    """
    cases = []
    for row in splits:
        name = (row["cohort"], row["case"])
        if name in wanted and row["split"] in wanted_splits:
            folder = preprocess / row["cohort"] / row["case"]
            cases.append(DatasetCase(*name, row["split"], channel_files(folder, channels), folder / f"{label}.nii.gz"))
    return sorted(cases, key=lambda case: case.key)


def check_case(case: DatasetCase, spacing_mm: float) -> int:
    """Check that the images of a case share one grid of the study's spacing; return its count of label voxels.

    Raises `InputError` naming the case.
    """
    name = f"Case {case.cohort}/{case.case}"
    label = load_volume(case.label, np.uint8)
    for path in case.images:
        image = load_volume(path)
        require_same_grid(image, label, f"{name}: {path.name}", case.label.name)
    if not np.allclose(label.spacing, spacing_mm, rtol=0, atol=GRID_TOLERANCE_MM):
        raise InputError(
            f"{name}: the final images have a spacing of {np.round(label.spacing, 4).tolist()} mm, "
            f"the study has {spacing_mm} mm.",
            "run the preprocessing of this case again with the study's spacing_mm.",
        )
    if label.data.max(initial=0) > 1:
        raise InputError(
            f"{name}: {case.label.name} holds values other than 0 and 1.", "give a mask of zeros and ones."
        )
    return int(np.count_nonzero(label.data))
