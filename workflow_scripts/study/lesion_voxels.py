"""Whether lesion masks hold a lesion, looked up in their files when a case sheet is read.

Here nothing heavy is imported, and a study of a thousand masks must be read in a moment: a mask is read up to its first
voxel that counts, masks until there are enough. What is odd about one is not judged; its ingest does that.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.enough_patients import shortage

HEADER_BYTES, CHUNK_BYTES = 352, 2**20
DATATYPES = {2: "B", 256: "b", 4: "h", 512: "H", 8: "i", 768: "I", 16: "f", 64: "d"}  # NIfTI-1's codes, as of struct
DATATYPE, VOX_OFFSET, SCALING = 70, 108, 112


def empty_masks(cases: Sequence[Case], ratios: Mapping[str, float], labels: Mapping[str, Sequence[int]]) -> str | None:
    """Say why the masks of an arm's cohorts give training or validation no lesion; None where they may.

    ``labels`` are those that are lesion, by cohort, where the sheet names none.
    """
    found = [replace(case, lesion=None) for case in cases]
    for index, case in enumerate(cases):
        if case.lesion and has_lesion(case.lesion, tuple(case.lesion_labels or labels.get(case.cohort, ()))):
            found[index] = case
            if not shortage(found, ratios):
                return None
    count = sum(bool(case.lesion) for case in found)
    given = sum(bool(case.lesion) for case in cases)
    return f"{count} of {given} lesion masks hold a lesion, and among these {shortage(found, ratios)}"


@cache
def has_lesion(path: str, labels: tuple[int, ...]) -> bool:
    """Say whether a mask has a voxel of ``labels``, or any that is not 0 where none are given; True where unsure."""
    try:
        with (gzip.open if path.lower().endswith(".gz") else open)(path, "rb") as stream:
            header = stream.read(HEADER_BYTES)
            order = "<" if header[:4] == struct.pack("<i", 348) else ">"
            (size,) = struct.unpack_from(f"{order}i", header)
            (code,) = struct.unpack_from(f"{order}h", header, DATATYPE)
            (offset,) = struct.unpack_from(f"{order}f", header, VOX_OFFSET)
            slope, intercept = struct.unpack_from(f"{order}2f", header, SCALING)
            scaled = math.isfinite(slope) and slope != 0 and (slope, intercept) != (1, 0)
            if size != 348 or code not in DATATYPES or scaled:
                return True
            stream.read(max(0, int(offset) - HEADER_BYTES))
            while chunk := stream.read(CHUNK_BYTES):
                if chunk.count(0) != len(chunk) and (not labels or _holds(chunk, order + DATATYPES[code], labels)):
                    return True
    except (OSError, EOFError, ValueError, OverflowError, struct.error, zlib.error):
        return True
    return False


def _holds(chunk: bytes, form: str, labels: Sequence[int]) -> bool:
    size = struct.calcsize(form)
    values = {value for (value,) in struct.iter_unpack(form, chunk[: len(chunk) // size * size])}
    return any(round(value) in labels for value in values if math.isfinite(value))
