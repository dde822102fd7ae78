"""Which MR images are diffusion-weighted, which are ADC maps, and with which b-value they were taken."""

import re
from collections.abc import Set

import pydicom

from workflow_scripts.common.dicom.files import numbers

STANDARD = 0x00189087
# Private b-values: creator's tag, the creator, the element.
PRIVATE = (
    (0x00190010, "SIEMENS MR HEADER", 0x0019100C),
    (0x00430010, "GEMS_PARM_01", 0x00431039),
    (0x20010010, "PHILIPS IMAGING DD 001", 0x20011003),
    (0x00650010, "IMAGE PRIVATE HEADER", 0x00651009),
)
TAGS = [STANDARD, *(tag for creator, _, element in PRIVATE for tag in (creator, element))]
LEAST_B = 100.0  # s/mm²; with less an image is not diffusion-weighted
GE_OFFSET = 10**9  # GE adds it to b-values of some sequences
ADC = re.compile(r"\bADC\b|APPARENT DIFFUSION")
# Computed of diffusion-weighted images, or beside them; neither a DWI nor an ADC map.
NEITHER = re.compile(
    r"\bD?E(?:XP)? ?ADC\b|EXPONENTIAL|FRACTIONAL|ANISOTROP|\b[DR]?FA\b|COLFA|TENSOR|\bPHASE (?:MAP|IMAGE)|\bKURTOSIS"
    r"|\bMASK\b"
)
PHASES = {"P", "PHASE"}  # values of ImageType
UNWEIGHTED = re.compile(r"\bB ?=? ?0+\b")
WEIGHTED = re.compile(r"\bB ?=? ?[1-9]\d*\b|TRACEW?\b")
DWI = re.compile(r"DWI\b|\bDIFF?\b|DIFFUSION|TRACEW?\b|\bB ?=? ?[1-9]\d{2,3}\b|RESOLVE|\bDW SSH?\b")
OTHER = re.compile(
    r"FLAIR|\bSWI\b|SWAN|VENBOLD|\bT2?\*|\bT1|\bT2|\bTOF|\bMRA\b|MPRAGE|\bGRE\b|\bPERF|\bPWI\b|\bASL\b|\bMIP\b"
    r"|PHASE|\bCBF\b|\bCBV\b|TMAX|LOCALI[SZ]ER|SURVEY"
)


def b_value(header: pydicom.Dataset) -> float | None:
    """Return the b-value in s/mm², from the standard element or a vendor's private one; None where there is none."""
    found = numbers(header, STANDARD, 1)
    if found is not None:
        return float(found[0]) % GE_OFFSET
    for creator, name, element in PRIVATE:
        if creator in header and str(header[creator].value).strip().upper() == name and element in header:
            value = header[element].value
            first = value[0] if isinstance(value, list | tuple | pydicom.multival.MultiValue) else value
            try:
                return float(int(float(first)) % GE_OFFSET)
            except (TypeError, ValueError):
                continue
    return None


def kind_of(image_type: Set[str], description: str, b: float | None) -> str:
    """Return ``adc``, ``dwi``, ``other`` or ``unknown`` by the words, upper case, of type and description."""
    types, description = " ".join(sorted(image_type)), description.replace("_", " ")
    if NEITHER.search(types) or NEITHER.search(description) or not PHASES.isdisjoint(image_type):
        return "other"
    if ADC.search(types) or ADC.search(description):
        return "adc"
    if OTHER.search(types) or (OTHER.search(description) and not DWI.search(description)):
        return "other"
    if b is None and UNWEIGHTED.search(description) and not WEIGHTED.search(description):
        return "other"
    if (b is not None and b > 0) or DWI.search(types) or DWI.search(description):
        return "dwi"
    return "unknown"
