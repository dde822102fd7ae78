"""An order of patients of which every beginning holds the strata in their shares."""

from collections import defaultdict
from collections.abc import Sequence

from workflow_scripts.common import seeds

Place = tuple[float, float]


def even_places(patients: Sequence[str], strata: Sequence[str], seed: int, purpose: str, *numbers: int) -> list[Place]:
    """Return each patient's place, and its hash, which decides between patients at the same place.

    The patients of a stratum are spaced evenly between 0 and 1, in the order of a hash of their names, from a beginning
    that is the stratum's own. A patient more or less moves the places of its stratum a little and no other.

    Parameters
    ----------
    strata
        name of each patient's stratum
    purpose, numbers
        of the choice (`workflow_scripts.common.seeds`)
    """
    hashes = [seeds.number(seed, f"{purpose} patient {patient}", *numbers) for patient in patients]
    rank: dict[int, int] = {}
    size: dict[str, int] = defaultdict(int)
    for index in sorted(range(len(patients)), key=hashes.__getitem__):
        rank[index] = size[strata[index]]
        size[strata[index]] += 1
    begin = {stratum: seeds.number(seed, f"{purpose} stratum {stratum}", *numbers) for stratum in size}
    return [((rank[index] + begin[stratum]) / size[stratum], hashes[index]) for index, stratum in enumerate(strata)]
