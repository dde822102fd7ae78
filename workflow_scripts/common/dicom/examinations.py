"""Whether series come from one examination, or from two at different times, such as admission and follow-up."""

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from typing import Protocol

ONE_EXAMINATION_S = 3600.0  # from its first to its last series
WIPED = "000000"  # a time of day that anonymising tools write


class Taken(Protocol):
    """An image: when it was acquired, in seconds, and its StudyInstanceUID; None and empty where unknown."""

    taken_s: float | None
    study: str


def seconds(date: str, time: str) -> float | None:
    """Return the seconds of a DICOM date and time (YYYYMMDD, HHMMSS.f), None where one is missing or wiped out."""
    digits = f"{time.split('.')[0]:0<6}"
    if not date or not time or digits == WIPED:
        return None
    try:
        return (datetime.strptime(f"{date[:8]}{digits}", "%Y%m%d%H%M%S") - datetime(1900, 1, 1)).total_seconds()
    except ValueError:
        return None


def of_one_examination(series: Sequence[Sequence[Taken]]) -> bool:
    """Say whether series, each a sequence of images, were taken together; those that nothing parts are."""
    return all(_together(first, second) for first, second in combinations(series, 2))


def _together(first: Sequence[Taken], second: Sequence[Taken]) -> bool:
    times = [[image.taken_s for image in images if image.taken_s is not None] for images in (first, second)]
    if all(times):
        return abs(min(times[0]) - min(times[1])) <= ONE_EXAMINATION_S
    studies = [{image.study for image in images} for images in (first, second)]
    return any(len(study) > 1 or "" in study for study in studies) or studies[0] == studies[1]
