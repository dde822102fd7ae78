"""Who made a scanner: one of the makers below, so that no text of a header is passed on."""

import re

# By a word of DICOM's Manufacturer, which changes with the years and the owners of a maker.
WORDS = {
    "SIEMENS": "Siemens",
    "GE": "GE",
    "GEMS": "GE",
    "PHILIPS": "Philips",
    "CANON": "Canon",
    "TOSHIBA": "Canon",
    "HITACHI": "Fujifilm",
    "FUJIFILM": "Fujifilm",
    "UIH": "United Imaging",
    "NEUSOFT": "Neusoft",
}
PHRASES = {"GENERAL ELECTRIC": "GE", "UNITED IMAGING": "United Imaging"}
UNKNOWN = "unknown"


def maker(manufacturer: str) -> str:
    """Return the maker's present name, or ``unknown``, for an upper-case Manufacturer.

    Example
    -------
    >>> maker("TOSHIBA_MEC"), maker("GE MEDICAL SYSTEMS"), maker("ST. MARY'S")
    ('Canon', 'GE', 'unknown')
    """
    words = re.split(r"[^A-Z0-9]+", manufacturer)
    found = {WORDS[word] for word in words if word in WORDS}
    found |= {name for phrase, name in PHRASES.items() if phrase in " ".join(words)}
    return found.pop() if len(found) == 1 else UNKNOWN
