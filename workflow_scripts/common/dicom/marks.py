"""Signs in a header that the pixels of an image show who the patient is, or what somebody wrote into them."""

import pydicom
from pydicom.uid import UID

OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_ROWS = 0x0010
TAGS = (
    *("BurnedInAnnotation", "RecognizableVisualFeatures", "GraphicAnnotationSequence", "ConversionType"),
    *(group << 16 | OVERLAY_ROWS for group in OVERLAY_GROUPS),
)
CAPTURED = {"DV", "DI", "DF", "WSD", "SD", "SI", "DRW"}  # ConversionType: from video, film, screen or paper


def marks(header: pydicom.Dataset) -> frozenset[str]:
    """Return the names of all such signs, in words of this program.

    Source: DICOM PS3.3, C.7.6.1.1 (burned-in annotation, recognizable visual features), C.8.6.1 (secondary capture),
    C.9.2 (overlay planes), C.10.5 (graphic annotations).
    """
    captured = "Secondary Capture" in UID(str(header.get("SOPClassUID", ""))).name
    signs = {
        "burned-in annotation": _is(header, "BurnedInAnnotation", {"YES"}),
        "recognisable features": _is(header, "RecognizableVisualFeatures", {"YES"}),
        "graphic annotation": bool(header.get("GraphicAnnotationSequence")),
        "secondary capture": captured or _is(header, "ConversionType", CAPTURED),
        "overlay": any(group << 16 | OVERLAY_ROWS in header for group in OVERLAY_GROUPS),
    }
    return frozenset(name for name, applies in signs.items() if applies)


def _is(header: pydicom.Dataset, keyword: str, words: set[str]) -> bool:
    return str(header.get(keyword) or "").strip().upper() in words
