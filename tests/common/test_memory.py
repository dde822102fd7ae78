"""What a job may still take is the least of what the machine has and its control groups leave."""

import pytest

from workflow_scripts.common.memory import free_memory

GB = 10**9


@pytest.fixture
def machine(tmp_path):
    """A machine of 64 GB with these lines in /proc/self/cgroup; returns the folders of proc and of the groups."""

    def make(*lines):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 99000000 kB\nMemAvailable:   62500000 kB\n")
        (tmp_path / "proc" / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "proc", tmp_path / "groups"

    return make


def write(folder, limit, used, names=("memory.max", "memory.current")):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")


def test_the_machine_alone(machine):
    assert free_memory(*machine("0::/")) == 64 * GB


def test_the_limit_of_a_group_above(machine):
    proc, groups = machine("0::/slurm/job_7/step_0")
    write(groups / "slurm" / "job_7", 16 * GB, 4 * GB)
    write(groups / "slurm" / "job_7" / "step_0", "max", 4 * GB)
    assert free_memory(proc, groups) == 12 * GB


def test_groups_of_the_first_version(machine):
    proc, groups = machine("9:name=systemd:/", "5:memory:/job", "2:cpu:/job")
    write(groups / "memory" / "job", 8 * GB, 9 * GB, ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    assert free_memory(proc, groups) == 0


def test_another_system(tmp_path):
    assert free_memory(tmp_path, tmp_path) == 0
