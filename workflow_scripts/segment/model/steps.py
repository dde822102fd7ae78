"""The steps of a running workflow, as a user sees them, from what Snakemake prints."""

import re
from collections.abc import Iterable, Iterator

RULE = re.compile(r"^( {4})?(?:local)?rule (?!new_patients)(\w+):")
CASE = re.compile(r"^ +wildcards: .*\bcohort=([\w-]+), case=([\w-]+)")
# The last line on a job, printed when it begins; the next line may come when it ends.
LAST = re.compile(r"^ +resources:")
GROUP = re.compile(r"^(\[[^]]*\] )?Group job ")  # one job of several rules, which follow indented, by their names
# The log of a job that failed, which may hold others, between two lines at least as long as "Logfile ".
LOG, EDGE = re.compile(r"^Logfile \S.*:$"), re.compile(r"^={10,}$")


def steps(lines: Iterable[str]) -> Iterator[str]:
    """Yield each step that begins, with its case as the case sheet names it; few steps have none.

    Steps that a cluster gets as one job are one.

    Examples
    --------
    >>> block = ["rule lesion:", "    wildcards: cohort=new, case=S01", "    resources: tmpdir=/tmp"]
    >>> list(steps(["Building DAG of jobs...", *block]))
    ['lesion of new/S01']
    >>> list(steps(["Group job case (jobs in lexicogr. order):", *(f"    {line}" for line in block * 2), "Submitted"]))
    ['lesion, lesion of new/S01']
    """
    rules: list[str] = []
    case, grouped = "", False
    for line in _without_logs(lines):
        ended = not line.startswith(" ") if grouped else LAST.match(line)
        if rules and ended:
            yield f"{', '.join(rules)}{case}"
            rules, case, grouped = [], "", False
        if GROUP.match(line):
            grouped = True
        elif (found := RULE.match(line)) and bool(found[1]) == grouped:
            rules.append(found[2])
        elif rules and (found := CASE.match(line)):
            case = f" of {found[1]}/{found[2]}"


def _without_logs(lines: Iterable[str]) -> Iterator[str]:
    """Leave out the logs of jobs that failed: on a cluster, they are what a Snakemake printed of its steps.

    Examples
    --------
    >>> edge = "=" * 14
    >>> list(_without_logs(["a", "Logfile 1.log:", edge, "b", "Logfile 2.log:", edge, "c", edge, "d", edge, "e"]))
    ['a', 'e']
    """
    depth, before = 0, ""
    for line in map(str.rstrip, lines):
        if EDGE.match(line):
            depth += 1 if LOG.match(before) else -1
        elif not (depth or LOG.match(line)):
            yield line
        before = line
