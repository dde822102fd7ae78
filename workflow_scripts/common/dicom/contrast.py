"""Whether words say that a series was taken with contrast medium."""

import re

MEDIUM = r"(?:CONTRAST[EO]?|CON|KONTRAST(?:MITTEL)?|KM|MDC|PDC|CE|ENHANCE[DM]\w*|IV)"
WITHOUT = r"(?:NON|NO|NOT|WO|WITHOUT|PRE|SANS|OHNE|SENZA|SIN|MINUS|BEFORE|VOR)"
# These go first, with the words that they belong to; what speaks of a medium after that was given one.
NATIVE = re.compile(
    rf"\b(?:{WITHOUT} (?:{MEDIUM} ?)+|NON{MEDIUM}|UNENHANCED|PRECONTRAST|PREKM|NATIVE?|PLAIN|NCCT|NECT|CMINUS)\b"
)
ENHANCED = re.compile(
    r"\b(?:CPLUS|CECT|CE|CONTRAST[EO]?|POSTCONTRAST|KONTRAST(?:MITTEL)?|KM|MDC|PDC|ENHANCED|POST (?:IV|GD|INJ\w*)"
    r"|IV|ORAL|INJECTED|\d+ ?CC|CT[AVP]|ANGIO|ANGIOGRAPHY|ANGIOGRAM|PERFUSION|ARTERIAL|VENOUS)\b"
)
SIGNS = (
    (re.compile(r"\bW ?/ ?O\b"), " WO "),
    (re.compile(r"\bC ?\+|(?<!\w)\+ ?C\b"), " CPLUS "),
    (re.compile(r"\bC-(?!\w)|(?<!\w)-C\b"), " CMINUS "),
    (re.compile(r"[^A-Z0-9]+"), " "),
)
NO_AGENT = {"", "NO", "NONE", "N", "NON", "WITHOUT", "0"}


def says_contrast(description: str) -> bool:
    """Say whether an upper-case series description tells of contrast medium, and not of its absence."""
    for sign, words in SIGNS:
        description = sign.sub(words, description)
    return ENHANCED.search(NATIVE.sub(" ", description)) is not None


def is_agent(text: str) -> bool:
    """Say whether the upper-case field ContrastBolusAgent names an agent; some scanners write there that none was."""
    text = re.sub(r"[^A-Z0-9]+", " ", text).strip()
    return text not in NO_AGENT and bool(NATIVE.sub("", f"{text} ").strip())
