import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.common.locks import alone_with

HOLD = """
import logging, subprocess, sys
from pathlib import Path
from workflow_scripts.common.locks import alone_with
logging.basicConfig(format="%(message)s")
with alone_with(Path(sys.argv[1]), "waiting") as lock:
    print("mine", flush=True)
    {body}
"""
UNTIL_TOLD = "input()"
# As Snakemake starts the shell of a step: it inherits standard input, and nothing else is passed on.
STEP_THEN_DEATH = """
    step = [sys.executable, "-c", "import time; print(0, flush=True); time.sleep(60)"]
    started = subprocess.Popen(step, stdin=lock, stdout=subprocess.PIPE)
    started.stdout.readline()
    print(started.pid, flush=True)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


def begun(path: Path, body: str) -> subprocess.Popen:
    words = [sys.executable, "-c", HOLD.format(body=body), str(path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(words, text=True, cwd=Path(__file__).parents[2], **pipes)


def test_the_second_waits_for_the_first_and_nothing_is_left(tmp_path):
    path = tmp_path / "new" / "lock"
    with begun(path, UNTIL_TOLD) as first:
        assert first.stdout.readline() == "mine\n"
        with begun(path, UNTIL_TOLD) as second, begun(path, UNTIL_TOLD) as third:
            for other in (second, third):
                assert other.stderr.readline() == "waiting\n"
            first.communicate("\n", timeout=60)
            for other in (second, third):
                other.stdin.write("\n")
                other.stdin.flush()
            for other in (second, third):
                assert other.wait(timeout=60) == 0
                assert other.stdout.readline() == "mine\n"
    assert not path.exists()


def test_steps_that_outlive_their_job_hold_its_lock(tmp_path):
    path = tmp_path / "lock"
    with begun(path, STEP_THEN_DEATH) as killed:
        assert killed.stdout.readline() == "mine\n"
        step = int(killed.stdout.readline())
        killed.wait(timeout=60)
        try:
            with begun(path, "") as next_job:
                assert next_job.stderr.readline() == "waiting\n"
                subprocess.run(["kill", "-9", str(step)], check=True)
                assert next_job.communicate(timeout=60)[0] == "mine\n"
        finally:
            subprocess.run(["kill", "-9", str(step)], check=False, capture_output=True)
    assert not path.exists()


def test_after_an_error_the_file_stays_and_keeps_nobody_out(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match="step"), alone_with(path, "waiting"):
        raise ValueError("step")
    assert path.exists()
    with alone_with(path, "waiting"):
        pass
    assert not path.exists()
