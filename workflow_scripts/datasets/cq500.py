"""Read CQ500 (qure.ai): NCCT as DICOM, votes of three readers, no masks.

One series of each patient is chosen by the name of its folder: plain rather than enhanced or bone, thin rather than
thick. A patient in whom two of three readers saw a haemorrhage is excluded. Nobody looked for infarcts, so the lesion
stays unknown.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.parts.contract import FoundCase, LeftOut, parse, reader_parser, write
from workflow_scripts.datasets.parts.tree import folders, is_archive

COHORT = "CQ500"
PATIENT = re.compile(r"(?P<name>CQ500-?CT-?(?P<number>\d+))([ _]CQ500-?CT-?(?P=number))?")
ARCHIVE = re.compile(r"CQ500-CT-(?P<number>\d+)\.zip")
VOTES = tuple(f"R{reader}:ICH" for reader in (1, 2, 3))
MAJORITY = 2
LEAST_FILES = 10  # of a scan of a head
EXCLUDED = {172: "one of its series is a chest"}

# What the folders of series are called in the data set, in capitals and without repeat numbers; the first kind that
# fits counts. PRE CONTRAST is plain.
KINDS: Mapping[str, tuple[str, ...]] = {
    "bone": (r".*\bBONE\b.*",),
    "enhanced": (r"CT (?!.*\bPRE CONTRAST\b)(.*\b)?(CONTRAST|CECT|ORAL|IV)\b.*", r"CT \d+CC .*", r"CT DE"),
    "thin, perhaps plain": (r"CT 0\.625 ?MM.*", r"CT THIN STND"),
    "plain, thin": (r"CT PLAIN THIN", r"CT THIN PLAIN", r"CT PRE CONTRAST THIN", r"CT (SOFT |C )?THIN( STD)?"),
    "plain, thick": (
        r"CT( BRAIN)? PLAIN",
        r"CT [\d.]+ ?MM PLAIN",
        r"CT PLAIN [\d.]+ ?MM",
        r"CT PRE CONTRAST [\d.]+ ?MM STD",
        r"CT [\d.]+ ?MM( PRE CONTRAST)?",
        r"CT 1\.25.*",
        r"CT C",
    ),
    "no plain axial head": (r"CT (HELICAL|HRCT|I TO S)", r"CT 3D .*"),
}
USABLE = ("plain, thin", "plain, thick", "thin, perhaps plain")  # from best to last resort


def read(folder: Path) -> Iterator[FoundCase | LeftOut]:
    """Yield the patients below ``folder``."""
    patients: dict[int, dict[Path, int]] = {}
    votes: dict[int, str] = {}
    missing = LeftOut("", "reads.csv", "it is not there, so every patient is excluded", "download it.")
    for place, here in folders(folder):
        number = _patient_of(place, folder)
        if number is not None:
            images = [path for path in here if not is_archive(path)]
            patients.setdefault(number, {})[place] = len(images)
        for path in here:
            if packed := ARCHIVE.fullmatch(path.name):
                patients.setdefault(int(packed["number"]), {})
            elif path.name == "reads.csv":
                try:
                    votes, missing = read_votes(path), None
                except InputError as error:
                    missing = LeftOut.because("", "reads.csv", error)
    if missing:
        yield missing
    for number, places in sorted(patients.items()):
        yield from _read_patient(number, places, votes)


def kind_of(name: str) -> str | None:
    """Return the key of `KINDS` for the name of a series' folder, None for a name that the data set does not have.

    >>> kind_of("CT PRE CONTRAST 5MM STD-2"), kind_of("CT_5mm_POST_CONTRAST")
    ('plain, thick', 'enhanced')
    """
    plain = re.sub(r"-\d$", "", " ".join(name.replace("_", " ").split())).upper()
    return next((kind for kind, names in KINDS.items() if any(re.fullmatch(name, plain) for name in names)), None)


def read_votes(path: Path) -> dict[int, str]:
    """Return why each patient of ``reads.csv`` is excluded: a haemorrhage by the majority of readers, else empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
        numbers = [int(row["name"].rsplit("-", 1)[1]) for row in rows]
        haemorrhage = [sum(int(row[vote]) for vote in VOTES) >= MAJORITY for row in rows]
    except (KeyError, ValueError, IndexError, TypeError, csv.Error, UnicodeDecodeError):
        raise InputError(
            f"reads.csv has not the columns name and {', '.join(VOTES)} with 0 or 1.", "download it again."
        ) from None
    return {n: "haemorrhage, by 2 of 3 readers" if seen else "" for n, seen in zip(numbers, haemorrhage, strict=True)}


def _patient_of(place: Path, root: Path) -> int | None:
    """Return the number of the patient whose folder ``place`` lies in, at any depth."""
    for part in reversed(place.relative_to(root.parent).parts):
        if match := PATIENT.fullmatch(part):
            return int(match["number"])
    return None


def _read_patient(number: int, places: Mapping[Path, int], votes: Mapping[int, str]) -> Iterator[FoundCase | LeftOut]:
    case = f"CQ500-CT-{number}"
    series = {place: count for place, count in places.items() if count}
    empty = [place for place in places if not places[place] and not any(place in other.parents for other in places)]
    for place in sorted(empty):
        yield LeftOut(case, f"series {place.name}", "the folder is empty", "unpack the patient's archive again.")
    usable: dict[str, dict[Path, int]] = defaultdict(dict)
    for place, count in sorted(series.items()):
        kind = kind_of(place.name)
        if kind in USABLE and count >= LEAST_FILES:
            usable[kind][place] = count
        else:
            why = f"{count} files" if kind in USABLE else kind or "a name that is not known here"
            yield LeftOut(case, f"series {place.name}", why)
    chosen = next((usable[kind] for kind in USABLE if kind in usable), None)
    if chosen is None:
        remedy = "unpack its archive, or add a row by hand with the series that you chose."
        yield LeftOut(case, "case", "there is no plain series", remedy)
        return
    best = max(chosen, key=lambda place: chosen[place])
    for place in sorted({place for kind in usable.values() for place in kind} - {best}):
        yield LeftOut(case, f"series {place.name}", f"{best.name} was chosen")
    exclude = EXCLUDED.get(number) or votes.get(number, "not in reads.csv: nobody says whether there is a haemorrhage")
    yield FoundCase(COHORT, case, case, best, exclude=exclude)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = parse(reader_parser(__doc__), argv)
    write(read(arguments.folder), arguments.out)


if __name__ == "__main__":
    run(main, reads_headers=True)
