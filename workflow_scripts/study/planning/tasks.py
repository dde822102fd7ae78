"""From the jobs of a call to the tasks of a cluster: single jobs, and groups that are submitted as one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from workflow_scripts.study.planning.cluster import Cluster, Partition
from workflow_scripts.study.planning.costs import Cost
from workflow_scripts.study.planning.jobs import Job
from workflow_scripts.study.planning.simulate import Task, Times, simulate

ONE_NODE = "node"


@dataclass(frozen=True)
class Tasks:
    """Tasks, and the jobs of each; of an output that is removed after use, the tasks that read it."""

    tasks: list[Task]
    jobs: list[list[Job]]


def tasks_of(jobs: Sequence[Job], costs: Mapping[int, Cost], cluster: Cluster) -> Tasks:
    """Return what is submitted for jobs; ``costs`` has one for the number of each.

    A group runs its steps in one job, as many at once as its cores allow. It asks for what Snakemake asks for: layer by
    layer of its graph, the sum of the cores and of the memory of those that can run together, at most the cores of a
    job.
    """
    needs = needs_of(jobs)
    together: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        together[job.number if job.group is None else job.group].append(job)
    place = {job.number: index for index, those in enumerate(together.values()) for job in those}
    tasks = []
    for index, those in enumerate(together.values()):
        outside = frozenset(place[need] for job in those for need in needs[job.number]) - {index}
        tasks.append(_task(those, outside, needs, costs, cluster))
    return Tasks(tasks, list(together.values()))


def needs_of(jobs: Iterable[Job]) -> dict[int, set[int]]:
    """Return the numbers of the jobs whose outputs each job reads."""
    jobs = list(jobs)
    maker = {path: job.number for job in jobs for path in job.outputs}
    return {job.number: {maker[path] for path in job.inputs if path in maker} - {job.number} for job in jobs}


def _task(
    those: Sequence[Job],
    outside: frozenset[int],
    needs: Mapping[int, set[int]],
    costs: Mapping[int, Cost],
    cluster: Cluster,
) -> Task:
    cores, mem_mb, gpus = _requested(those, needs, cluster.most_cores)
    first = those[0]
    name = first.name if len(those) == 1 else _shared_name(those)
    partition = cluster.partition_of(name, next((j.partition for j in those if j.partition), None), cores, mem_mb, gpus)
    seconds = _seconds(those, needs, costs, cores, cluster.step_seconds)
    if any(job.outputs for job in those):  # a target without files of its own is not submitted
        seconds += cluster.start_seconds
    return Task(name, outside, seconds, partition, cores, mem_mb, gpus)


def _requested(those: Sequence[Job], needs: Mapping[int, set[int]], most: int) -> tuple[int, float, int]:
    depths = _depths(those, needs)
    layers = [[job for job in those if depths[job.number] == depth] for depth in set(depths.values())]
    threads = [sum(min(job.threads, most) for job in layer) for layer in layers]
    at_once = [min(1, most / count) for count in threads]
    memory = [part * sum(job.mem_mb for job in layer) for part, layer in zip(at_once, layers, strict=True)]
    return min(most, max(threads)), max(memory), max(sum(job.gpus for job in layer) for layer in layers)


def _depths(those: Sequence[Job], needs: Mapping[int, set[int]]) -> dict[int, int]:
    """Return how many steps of a group come before each of its jobs."""
    inside = {job.number for job in those}
    depths: dict[int, int] = {}

    def depth(number: int) -> int:
        if number not in depths:
            depths[number] = max((depth(need) + 1 for need in needs[number] & inside), default=0)
        return depths[number]

    for number in inside:
        depth(number)
    return depths


def _seconds(
    those: Sequence[Job], needs: Mapping[int, set[int]], costs: Mapping[int, Cost], cores: int, step_seconds: float
) -> float:
    place = {job.number: index for index, job in enumerate(those)}
    steps = [
        Task(
            name=job.name,
            needs=frozenset(place[need] for need in needs[job.number] if need in place),
            seconds=costs[job.number].seconds + step_seconds,
            partition=ONE_NODE,
            cores=min(job.threads, cores),
        )
        for job in those
    ]
    node = Cluster({ONE_NODE: Partition(cores, 10**9, 10**3)})
    return max(times.end for times in simulate(steps, node))


def _shared_name(those: Sequence[Job]) -> str:
    """Name a group after its stages, rules and, of a case, the end of the names that they share."""
    stages = list(dict.fromkeys(job.stage for job in those))
    kinds = dict.fromkeys(job.kind for job in those)
    ends = {"/".join(PurePath(job.name).parts[2:4]) for job in those}
    what = next(iter(kinds)) if len(kinds) == 1 else "+".join(stages)
    return f"{what} {min(ends, key=len)}" if len(kinds) > 1 else f"{what} ({len(those)})"


def peak_disk_mb(tasks: Tasks, times: Sequence[Times], costs: Mapping[int, Cost]) -> float:
    """Return the most disk that new files take at once; a temporary one goes when all that read it have ended."""
    last_read: dict[str, float] = defaultdict(float)
    for those, when in zip(tasks.jobs, times, strict=True):
        for job in those:
            for path in job.inputs:
                last_read[path] = max(last_read[path], when.end)
    changes = []
    for those, when in zip(tasks.jobs, times, strict=True):
        for job in those:
            for path, size in zip(job.outputs, costs[job.number].outputs_mb, strict=True):
                changes.append((when.end, size))
                if path in job.temporary:
                    changes.append((max(last_read[path], when.end), -size))
    peak = now = 0.0
    # Of one moment, what comes before what goes.
    for _, size in sorted(changes, key=lambda change: (change[0], -change[1])):
        now += size
        peak = max(peak, now)
    return peak
