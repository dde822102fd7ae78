"""Which reconstruction kernels show soft tissue and which show bone, by their makers' names."""

import re
from collections.abc import Set

# Siemens: a letter or two for the body part, then a sharpness of 10 to 99 (H31s, J40f, Hr64h). Canon and Toshiba: FC
# and a number. GE and Philips: words and letters.
SIEMENS = re.compile(r"(?:[A-Z]{1,2}?)R?(?P<sharpness>\d\d)[A-Z]?(?:\\\d+)?")
SIEMENS_SHARP = 48
CANON = re.compile(r"FC(?P<number>\d\d)[A-Z]?")
CANON_SHARP = {*range(30, 40), *range(50, 60), *range(80, 90)}
SOFT = {"SOFT", "STANDARD", "STND", "BRAIN", "CEREBRUM", "A", "B", "C", "UA", "UB", "UC", "EA", "EB"}
SHARP = {"BONE", "BONEPLUS", "BONE+", "EDGE", "ULTRA", "LUNG", "DETAIL", "D", "E", "EC", "L", "YA", "YB", "YC", "YD"}
SHARP_WORDS = {"BONE", "BONES", "KNOCHEN", "OSSEUX", "HUESO", "OSSO", "OSSEA", "SHARP"}


def sharpness(kernel: str, description: Set[str]) -> str:
    """Return ``soft``, ``sharp`` or ``unknown`` for a kernel's upper-case name; a describing word stands in for it."""
    if kernel in SOFT:
        return "soft"
    if kernel in SHARP:
        return "sharp"
    if found := CANON.fullmatch(kernel):
        return "sharp" if int(found["number"]) in CANON_SHARP else "soft"
    if found := SIEMENS.fullmatch(kernel):
        return "sharp" if int(found["sharpness"]) >= SIEMENS_SHARP else "soft"
    return "unknown" if SHARP_WORDS.isdisjoint(description) else "sharp"
