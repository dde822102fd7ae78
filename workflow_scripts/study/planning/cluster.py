"""A cluster as a plan sees it: what of each partition is yours, and what every job costs besides its own work."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.yaml_files import read_mapping


@dataclass(frozen=True)
class Partition:
    """What can be in use at once."""

    cores: int
    mem_mb: int
    gpus: int = 0

    def holds(self, cores: int, mem_mb: float, gpus: int) -> bool:
        """Say whether a request fits into the whole partition."""
        return cores <= self.cores and mem_mb <= self.mem_mb and gpus <= self.gpus


@dataclass(frozen=True)
class Cluster:
    """Partitions by name, and limits.

    ``jobs`` is the largest number of jobs that are submitted at once, ``cores_per_job`` the most cores of one;
    ``start_seconds`` passes from the submission of a job to its first step, ``step_seconds`` before each step of a job.
    """

    partitions: Mapping[str, Partition]
    jobs: int = 10**6
    cores_per_job: int = 10**6
    start_seconds: float = 0.0
    step_seconds: float = 0.0

    @classmethod
    def here(cls) -> Self:
        """This machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
        return cls({"this machine": Partition(len(os.sched_getaffinity(0)), memory)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a description; raises `StudyError`, which names file and key."""
        content = _checked(read_mapping(path), cls, str(path))
        partitions = content.get("partitions")
        if not isinstance(partitions, Mapping) or not partitions:
            raise StudyError(f"{path}, key partitions: at least one, as `cpu: {{cores: 64, mem_mb: 256000}}`.")
        described = {
            str(name): Partition(**_checked(entry, Partition, f"{path}, key partitions.{name}"))
            for name, entry in partitions.items()
        }
        return cls(**(content | {"partitions": described}))

    @property
    def most_cores(self) -> int:
        """The most cores that one job may have."""
        return min(self.cores_per_job, max(partition.cores for partition in self.partitions.values()))

    def partition_of(self, name: str, wanted: str | None, cores: int, mem_mb: float, gpus: int) -> str:
        """Return where a job runs: the partition that it asks for, else the first that holds it.

        Jobs without a GPU keep away from GPUs where they can. Raises `StudyError` where the job fits nowhere.
        """
        order = sorted(self.partitions, key=lambda each: bool(self.partitions[each].gpus) != bool(gpus))
        those = [wanted] if wanted in self.partitions else order
        for each in those:
            if self.partitions[each].holds(cores, mem_mb, gpus):
                return each
        raise StudyError(
            f"{name} asks for {cores} cores, {mem_mb:.0f} MB and {gpus} GPUs, which "
            f"{' and '.join(those)} do not have. Describe another cluster, or change `resources` of the configuration."
        )


def _checked(content: Any, kind: type, where: str) -> dict[str, Any]:
    """Return the keys of a description, all known and positive numbers where they are numbers."""
    known = {field.name for field in fields(kind)}
    required = {"cores", "mem_mb"} if kind is Partition else {"partitions"}
    if not isinstance(content, Mapping) or not required <= set(content) <= known:
        raise StudyError(f"{where}: the keys are {', '.join(sorted(known))}; needed are {', '.join(sorted(required))}.")
    for key, value in content.items():
        least = 0 if key in ("gpus", "start_seconds", "step_seconds") else 1
        whole = not key.endswith("seconds")
        if key != "partitions" and (
            isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < least
        ):
            what = "whole number" if whole else "number"
            raise StudyError(f"{where}, key {key}: {value!r} is not a {what} from {least} on.")
    return dict(content)
