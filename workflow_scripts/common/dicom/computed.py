"""Whether words say that the images of a CT series were computed from others, or made by another kind of machine."""

import re
from collections.abc import Set

# The values of these are estimates of the HU of a native CT.
ESTIMATES = ("virtual non-contrast", "monoenergetic", "flat panel")
# What the words of type and descriptions are called here; the first that fits counts. Signs are words by then (SIGNS).
# Source of the terms with underscores: DICOM PS3.3, C.8.15.2.1.1.5 (multi-energy CT) and C.8.16.2.1.4 (derived pixel
# contrast); the others are the makers' names of series.
NAMES = (
    (
        "virtual non-contrast",
        re.compile(
            r"\bMAT REMOVED\b|\bMAT MODIFIED\b|\b(?:DE)?V(?:NC(?:A|AT)?|NE|NI|UE)\b|\bHU MOD\b"
            r"|\bVIRT(?:UAL|UELL?)?(?:LY)? ?(?:NON|UN|NAT|PLAIN|TRUE|SANS|OHNE|WITHOUT|WO|NCCT|NECT|NC)"
            r"|\b(?:IODINE|JOD|CALCIUM|MATERIAL) ?(?:REMOV|SUPP|SUBTR|FREE)|\b(?:MINUS|WITHOUT|WO) IODINE\b|\bCASUPP"
        ),
    ),
    ("monoenergetic", re.compile(r"\bVMI\w*|\bMONO ?E?\b|\bMONO(?:PLUS|ENERG|CHROMAT)\w*|\b\d{2,3} ?KEV\b|\bGSI\b")),
    (
        "material map",
        re.compile(
            r"\bMAT (?:SPECIFIC|FRACTIONAL|VALUE BASED)\b|\bIOD(?:INE|E)?\b|\bJOD\w*|\bURIC ACID\b|\bGOUT\b|\bPBV\b"
            r"|\b(?:FAT|HAP|CALCIUM|BLOOD) WATER\b|\bWATER (?:FAT|HAP|CALCIUM|BLOOD)\b|\bCONTRAST ENHANCED STRUCTURES\b"
            r"|\bEFF ATOMIC NUM\b|\bZ ?EFF\w*|\bEFF(?:ECTIVE)? Z\b|\bEFFECTIVE ATOMIC|\bRHO\b"
            r"|\bELECTRON DENSITY\b|\bEDW\b|\bSPR\b|\bSTOPPING POWER\b"
        ),
    ),
    (
        "perfusion map",
        re.compile(r"\bR?CB[FV]\w*|\bMTT\b|\bTT[PD]\b|\bT ?MAX\b|\bPENUMBRA\b|\bMISMATCH\b|\bPERMEABILITY\b"),
    ),
    (
        "projection or rendering",
        re.compile(
            r"\bT?MIP\b|\bM(?:AX|IN) ?IP\b|\bVRT?\b|\bSSD\b|\bVOLUME RENDER|\bSURFACE RENDER|\bPROJECTION\b"
            r"|\bCPR\b|\bCURVED\b"
        ),
    ),
    (
        "subtraction",
        re.compile(
            r"\bDSA\b|\bSUBTRACT\w*|\b(?:BONE|SKULL) ?(?:REMOV\w*|SUBTR\w*|FREE|LESS)\b|\b(?:NO|WITHOUT) BONES?\b"
            r"|\bDEBONED?\b"
        ),
    ),
    ("overlay", re.compile(r"\bOVERLAY\b|\bFUSION\b|\bFUSED\b|\bHEAT ?MAP\b")),
    ("synthetic CT", re.compile(r"\bMRCAT\b|\b(?:SYNTHETIC|SYN|PSEUDO) ?CT\b|\bSCT\b")),
    (
        "flat panel",
        re.compile(
            r"\b(?:\d+ ?S ?)?DCT\b|\bDYNA ?CT\b|\bXPER ?CT\b|\bINNOVA ?CT\b|\bCB ?CT\b|\bCONE ?BEAM\b|\bFLAT ?PANEL\b"
            r"|\bF[DP] ?CT\b|\bO ARM\b"
        ),
    ),
)
# Values 4 of ImageType that no description uses in this sense.
CONTRAST_OF_PIXELS = {"ADDITION", "DIVISION", "MAXIMUM", "MINIMUM", "MULTIPLICATION", "STD_DEVIATION", "QUANTITY"}
FLAT_PANEL_MODELS = re.compile(r"\b(?:AXIOM|ARTIS|ALLURA|AZURION|INNOVA|IGS|INFINIX|ALPHENIX|TRINIAS|ZEEGO|CIOS)\b")
SIGNS = (
    (re.compile(r"\bMONO ?\+"), "MONOPLUS "),
    (re.compile(r"\bHU ?\*"), "HU MOD "),
    (re.compile(r"[^A-Z0-9]+"), " "),
)


def computed(image_type: Set[str], description: str, model: str = "") -> str:
    """Return what made the images, one of `ESTIMATES` or a name of what is no CT in HU; empty for a CT as acquired.

    All words are upper case: those of ImageType and RescaleType, the texts that describe a series, and the model of
    the scanner.
    Reformats in other planes or thicker slices, mixed energies and corrections for metal count as acquired.
    """
    if not CONTRAST_OF_PIXELS.isdisjoint(image_type):
        return "projection or rendering"
    texts = [_in_words(text) for text in (*image_type, description)]
    for name, pattern in NAMES:
        if any(map(pattern.search, texts)):
            return name
    return "flat panel" if FLAT_PANEL_MODELS.search(model) else ""


def _in_words(text: str) -> str:
    for sign, words in SIGNS:
        text = sign.sub(words, text)
    return text
