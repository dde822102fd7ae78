"""Which task runs when: event-driven list scheduling on the partitions of a cluster."""

import heapq
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_scripts.study.planning.cluster import Cluster


@dataclass(frozen=True)
class Task:
    """Something that is submitted at once and holds its resources from start to end.

    ``needs`` are the places, in the sequence of all tasks, of those that must end before. ``partition`` has the
    resources.
    """

    name: str
    needs: frozenset[int]
    seconds: float
    partition: str
    cores: int = 1
    mem_mb: float = 0
    gpus: int = 0


@dataclass(frozen=True)
class Times:
    """When all that a task needs was there, when it started and when it ended; seconds from the beginning."""

    ready: float
    start: float
    end: float


def simulate(tasks: Sequence[Task], cluster: Cluster) -> list[Times]:
    """Return the times of all tasks; among those that are ready, the first that became so starts first.

    A task that has no room is overtaken by smaller ones of other requests, as on a cluster with backfill. Each must
    fit into its partition (`Cluster.partition_of`).
    """
    followers: dict[int, list[int]] = defaultdict(list)
    for place, task in enumerate(tasks):
        for need in task.needs:
            followers[need].append(place)
    missing = [len(task.needs) for task in tasks]
    free = {name: [part.cores, part.mem_mb, part.gpus] for name, part in cluster.partitions.items()}
    queues: dict[tuple[object, ...], deque[int]] = defaultdict(deque)
    ready: dict[int, float] = {}
    started: dict[int, float] = {}
    times: dict[int, Times] = {}
    ends: list[tuple[float, int]] = []
    now = 0.0

    def enqueue(place: int) -> None:
        ready[place] = now
        queues[_request(tasks[place])].append(place)

    for place, count in enumerate(missing):
        if not count:
            enqueue(place)
    while ready:
        for place in _startable(queues, tasks, ready, free, cluster.jobs - len(started)):
            started[place] = now
            heapq.heappush(ends, (now + tasks[place].seconds, place))
        now = ends[0][0]
        while ends and ends[0][0] == now:
            _, place = heapq.heappop(ends)
            _take(free, tasks[place], -1)
            times[place] = Times(ready.pop(place), started.pop(place), now)
            for follower in followers[place]:
                missing[follower] -= 1
                if not missing[follower]:
                    enqueue(follower)
    return [times[place] for place in range(len(tasks))]


def _request(task: Task) -> tuple[object, ...]:
    return task.partition, task.cores, task.mem_mb, task.gpus


def _startable(
    queues: Mapping[tuple[object, ...], deque[int]],
    tasks: Sequence[Task],
    ready: Mapping[int, float],
    free: dict[str, list[float]],
    room: int,
) -> list[int]:
    """Take from the queues what can start now, in the order in which it became ready, and reserve its resources."""
    chosen: list[int] = []
    blocked: set[tuple[object, ...]] = set()
    while len(chosen) < room:
        heads = [(ready[queue[0]], queue[0], key) for key, queue in queues.items() if queue and key not in blocked]
        if not heads:
            break
        _, place, key = min(heads, key=lambda head: head[:2])
        if _fits(free, tasks[place]):
            _take(free, tasks[place], 1)
            chosen.append(queues[key].popleft())
        else:
            blocked.add(key)
    return chosen


def _fits(free: Mapping[str, Sequence[float]], task: Task) -> bool:
    cores, mem_mb, gpus = free[task.partition]
    return task.cores <= cores and task.mem_mb <= mem_mb and task.gpus <= gpus


def _take(free: dict[str, list[float]], task: Task, times: int) -> None:
    for index, asked in enumerate((task.cores, task.mem_mb, task.gpus)):
        free[task.partition][index] -= times * asked


def critical_path(tasks: Sequence[Task], times: Sequence[Times]) -> list[int]:
    """Return the chain of tasks that ends last, from its first one: before each, the need that ended last."""
    path: list[int] = []
    place = max(range(len(tasks)), key=lambda each: times[each].end, default=None)
    while place is not None:
        path.append(place)
        place = max(tasks[place].needs, key=lambda need: times[need].end, default=None)
    return path[::-1]
