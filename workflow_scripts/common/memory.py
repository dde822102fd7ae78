"""How much memory this process may still take."""

import re
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that the machine has free and that the limits of this job (control groups of either version) leave.

    0 where the system does not tell.
    """
    try:
        told = re.search(r"^MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text("utf-8"), re.MULTILINE)
        lines = (proc / "self" / "cgroup").read_text("utf-8").splitlines()
    except OSError:
        return 0
    left = [int(told[1]) * 1024] if told else [0]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            folder = cgroups / controllers / group.strip("/")
            # A job's limit may be set on a group above its own; inside a container the own one is the root.
            left += [room for above in (folder, *folder.parents) for room in _room(above, cgroups)]
    return max(0, min(left))


def _room(folder: Path, root: Path) -> list[int]:
    if not folder.is_relative_to(root):
        return []
    found = []
    for limit, used in _FILES:
        try:
            found.append(int((folder / limit).read_text("utf-8")) - int((folder / used).read_text("utf-8")))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return found
