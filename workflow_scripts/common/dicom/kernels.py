"""Which reconstruction kernels show soft tissue and which show bone, by their makers' names."""

import re
from collections.abc import Set

# Siemens: a letter or two for the body part, then a sharpness of 10 to 99 (H31s, J40f, Hr64h). Canon and Toshiba: FC
# and a number. GE, Philips and United Imaging: words and letters, some with signs about them (STD+, H_SOFT_B).
SIEMENS = re.compile(r"(?:[A-Z]{1,2}?)R?(?P<sharpness>\d\d)[A-Z]?(?:\\\d+)?")
SIEMENS_SHARP = 48
CANON = re.compile(r"FC(?P<number>\d\d)(?:[- ]?[A-Z])?(?:\\.*)?")
CANON_SHARP = {*range(30, 40), *range(50, 60), *range(80, 90)}
SOFT = {"A", "B", "C", "UA", "UB", "UC", "EA", "EB"}
SHARP = {"D", "E", "EC", "L", "YA", "YB", "YC", "YD"}
SOFT_WORDS = {"SOFT", "STANDARD", "STND", "STD", "BRAIN", "CEREBRUM", "SMOOTH", "VSOFT"}
SHARP_WORDS = {"BONE", "BONEPLUS", "EDGE", "ULTRA", "LUNG", "DETAIL", "SHARP", "VSHARP"}
IN_WORDS = re.compile(r"[BHJ][RV]?\d\d[FHSU]|FC\d\d")  # a kernel's name in a description
SHARP_DESCRIPTIONS = {"BONE", "BONES", "KNOCHEN", "OSSEUX", "HUESO", "OSSO", "OSSEA", "SHARP"}


def sharpness(kernel: str, description: Set[str]) -> str:
    """Return ``soft``, ``sharp`` or ``unknown`` for a kernel's upper-case name; a describing word stands in for it."""
    if not kernel and len(named := [word for word in description if IN_WORDS.fullmatch(word)]) == 1:
        kernel = named[0]
    words = set(re.split(r"[^A-Z0-9]+", kernel))
    if kernel in SHARP or words & SHARP_WORDS:
        return "sharp"
    if kernel in SOFT or words & SOFT_WORDS:
        return "soft"
    if found := CANON.fullmatch(kernel):
        return "sharp" if int(found["number"]) in CANON_SHARP else "soft"
    if found := SIEMENS.fullmatch(kernel):
        return "sharp" if int(found["sharpness"]) >= SIEMENS_SHARP else "soft"
    return "unknown" if SHARP_DESCRIPTIONS.isdisjoint(description) else "sharp"
