"""Whether words say that a series was taken with contrast medium, in the languages that scanners are used in."""

import re
import unicodedata

MEDIUM = (
    r"(?:CONTRAST[EO]?|CONT?|KONTR\w*|KM|CM|MDC|PDC|CE|ENH\w*|INJ\w*|GAD\w*|GD|IV|КОНТРАСТ\w*"
    r"|(?:IONIC )?(?:AGENT|MEDIUM|MEDIA))"
)
WITHOUT = (
    r"(?:NON|NO|NOT|WO|W O|WITHOUT|MINUS|BEFORE|PRE|SANS|SS|AVANT|OHNE|KEIN\w*|VOR|SENZA|SIN|SEM|ZONDER|UTAN|UDEN|UTEN"
    r"|BEZ|БЕЗ)"
)
WITH = r"(?:W|WITH|POST|AFTER|AVEC|APRES|MIT|NACH|DOPO|MET|MED)"
# These go first, with the words that they belong to; what speaks of a medium after that was given one.
NATIVE = re.compile(
    rf"\b(?:{WITHOUT} (?:{MEDIUM}\b ?)+|NON{MEDIUM}|UNENH\w*|PRE(?:CONTRAST|KM)|NATIV\w*|PLAIN|NCCT|NECT|CMINUS|SMC"
    rf"|KONTRASTSIZ|НАТИВ\w*|{MEDIUM} (?:NONE|NO|NIL|0)|0 ?(?:CC|ML)"
    r"|(?:LOW|HIGH) CONTRAST|CONTRAST (?:RESOLUTION|OPTIMI\w*|SCALE))\b"
    r"|[非无無未不](?:造影|[增増][强強])|비조영"
)
BOTH = re.compile(rf"\bW(?:ITH)? (?:AND |OR )?(?:WO|WITHOUT)\b|\bPRE (?:AND |OR )?POST {MEDIUM}\b")
ENHANCED = re.compile(
    rf"\b(?:{WITH} {MEDIUM}|CPLUS|CECT|CE|CMC|CONTRAST[EO]?|CONTRASTA\w*|POST(?:CONTRAST|GAD\w*)|KONTRAST\w*|KM|MDC|PDC"
    r"|ENH|ENHANCE(?:D|MENT)?|INJECT\w*|IV|ORAL|\d+ ?CC|CT[AVP]|VPCT|ANGIO\w*|PERFUSION|ARTERI\w*"
    r"|VEN(?:OUS|OS\w*|EUX)|PORTAL|DELAYED|LATE PHASE|BOLUS|(?:PRE)?MONITORING|КОНТРАСТ\w*)\b"
    r"|造影|[增増][强強]|조영"
)
SIGNS = (
    (re.compile(r"\bW ?/ ?O(?:UT)?\b"), " WO "),
    (re.compile(r"\bC ?\+|(?<!\w)\+ ?C(?:E?)\b|\bW ?/ ?$"), " CPLUS "),
    (re.compile(r"\bC-(?!\w)|(?<!\w)-C\b"), " CMINUS "),
    (re.compile(r"[\W_]+"), " "),
)
NO_AGENT = re.compile(rf"(?:{WITHOUT}|N|NA|N A|NONE|NIL|NEIN|AUCUN|UNKNOWN|0|0 ?(?:ML|CC))?(?! ?IONIC)(?: .*)?|N")


def says_contrast(description: str) -> bool:
    """Say whether an upper-case series description tells of contrast medium, and not of its absence.

    One that names both, as an order of two scans does, counts as told.
    """
    words = _words(description)
    return BOTH.search(words) is not None or ENHANCED.search(NATIVE.sub(" ", words)) is not None


def is_agent(text: str) -> bool:
    """Say whether the upper-case field ContrastBolusAgent names an agent; some scanners write there that none was."""
    words = _words(text).strip()
    return not NO_AGENT.fullmatch(words) and bool(NATIVE.sub("", f"{words} ").strip())


def _words(text: str) -> str:
    """Part a text into words of letters without accents; signs of contrast become words."""
    text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    text = unicodedata.normalize("NFKC", text)
    for sign, word in SIGNS:
        text = sign.sub(word, text)
    return text
