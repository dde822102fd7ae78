import platform
import subprocess
import sys

import pytest

from tests.workflow import ROOT

FAULTS = """
import resource
import numpy as np
from workflow_scripts.common.malloc import keep_freed_memory, return_freed_memory
{prepare}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**26, np.uint8)
before = faults()
np.ones(2**26, np.uint8)
print(faults() - before)
"""


def faults_of_the_second_array(prepare: str) -> int:
    """Return how often a second array of 64 MB, as large as one that was freed, asks the kernel for memory."""
    command = [sys.executable, "-c", FAULTS.format(prepare=prepare)]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep memory")
def test_memory_of_a_freed_array_serves_the_next():
    assert faults_of_the_second_array("keep_freed_memory()") < 10 <= faults_of_the_second_array("")
    assert faults_of_the_second_array("keep_freed_memory(); return_freed_memory()") >= 10
