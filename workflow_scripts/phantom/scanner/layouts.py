"""Which files a case of each phantom cohort consists of.

Imported while the workflow is parsed, so it uses the standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workflow_scripts.common.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Files of one cohort, relative to the folder of the case; names without a suffix are folders.

    Attributes
    ----------
    letter
        first character of the cohort's patient names
    files
        content (``ncct``, ``dwi``, ``adc``, ``lesion``) to name
    """

    letter: str
    files: Mapping[str, str]

    @property
    def mri(self) -> tuple[str, ...]:
        """Contents that are MRI, in the order of the case sheet."""
        return tuple(content for content in self.files if content in ("dwi", "adc"))


LAYOUTS: Mapping[str, Layout] = {
    "AISD": Layout("A", {"ncct": "ncct", "dwi": "dwi", "lesion": "lesion.nii.gz"}),
    "APIS": Layout("P", {"ncct": "ncct.nii.gz", "adc": "adc.nii.gz", "lesion": "lesion.nii.gz"}),
    "icoAIS": Layout("I", {"ncct": "ncct", "dwi": "dwi.nii.gz", "adc": "adc.nii.gz", "lesion": "lesion.nii.gz"}),
    "CENTER-TBI": Layout("C", {"ncct": "ncct.nii.gz"}),
}


def layout(cohort: str) -> Layout:
    """Return the layout of a phantom cohort; raises `InputError` for a name that is none of the four."""
    try:
        return LAYOUTS[cohort]
    except KeyError:
        raise InputError(f"There is no phantom cohort {cohort!r}.", f"name one of {', '.join(LAYOUTS)}.") from None


def is_folder(name: str) -> bool:
    """Say whether a name of a layout is a folder."""
    return "." not in name
