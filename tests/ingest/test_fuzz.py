"""Damaged files are read or refused in words, whatever is wrong with them, in little memory and time."""

import json
import subprocess
import sys

from tests.ingest.fuzz import HARMLESS
from tests.workflow import ROOT


def test_no_mutant_of_a_scan_ends_in_a_traceback_a_leak_or_a_hang():
    command = [sys.executable, "-m", "tests.ingest.fuzz", "--mutants", "300", "--seed", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    counts = json.loads(result.stdout)
    assert set(counts) <= set(HARMLESS), result.stderr[-3000:]
    assert counts["refused"] > 100
