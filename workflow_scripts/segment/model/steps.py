"""The steps of a running workflow, as a user sees them, from what Snakemake prints."""

import re
from collections.abc import Iterable, Iterator

RULE = re.compile(r"^(?:local)?rule (?!new_patients)(\w+):")
CASE = re.compile(r"^ +wildcards: .*\bcohort=([\w-]+), case=([\w-]+)")
# The last line on a job, printed when it begins; the next line may come when it ends.
LAST = re.compile(r"^ +resources:")


def steps(lines: Iterable[str]) -> Iterator[str]:
    """Yield each step that begins, with its case as the case sheet names it; few steps have none.

    Examples
    --------
    >>> block = ["rule lesion:", "    wildcards: cohort=new, case=S01", "    resources: tmpdir=/tmp"]
    >>> list(steps(["Building DAG of jobs...", *block]))
    ['lesion of new/S01']
    """
    step = ""
    for line in lines:
        if found := RULE.match(line):
            step = found[1]
        elif step and (found := CASE.match(line)):
            step += f" of {found[1]}/{found[2]}"
        elif step and LAST.match(line):
            yield step
            step = ""
