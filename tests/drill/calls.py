"""One call of Snakemake that something happens to: its progress, the processes of its steps, what it said."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 900
BEGUN = re.compile(r"^(?:local)?rule (\w+):$", re.MULTILINE)
STEP = re.compile(r"-m (?:workflow_scripts\.(\w+\.\w+)|(snakemake)) ")  # the Snakemake of a whole job is a step too
TOLD = re.compile(
    r"Remedy:|cannot be locked|unlock it: |^Error in rule|Error: |Exiting because|Nothing to be done"
    r"|steps \(100%\) done|Changed since|Errno|older than"
)


class Call:
    """A Snakemake on the workflow in ``code``, in a session of its own, begun in ``folder``; its words go to a file."""

    def __init__(self, folder: Path, code: Path, words: Path, arguments: list[str]) -> None:
        self.words, self.arguments = words, arguments
        with words.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "-s", str(code / "Snakefile"), *arguments],
                cwd=folder,
                stdout=output,
                stderr=output,
                env=environment(),
                start_new_session=True,
                # Where a shell began the drill in the background, Ctrl-C is ignored, and would be here.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def said(self) -> str:
        return self.words.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait_for_steps(self, count: int) -> bool:
        """Wait until ``count`` steps have begun; False where the call ended before."""
        deadline = time.monotonic() + PATIENCE_S
        while self.running and len(BEGUN.findall(self.said)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a call hangs: {self.said[-2000:]}")
            time.sleep(0.05)
        return self.running

    def steps(self) -> dict[int, str]:
        """Return the processes that run a step of this call, by their number, each with its stage and rule."""
        found = {}
        for number in descendants(self.process.pid):
            step = STEP.search(_command(number))
            if step and Path(f"/proc/{number}/exe").resolve().name.startswith("python"):
                found[number] = step[1] or step[2]
        return found

    def end(self) -> int:
        """Wait for the end; returns the exit status."""
        return self.process.wait(timeout=PATIENCE_S)

    def kill_all(self) -> None:
        """End the call and all its steps at once, as when the power fails."""
        for number in [self.process.pid, *descendants(self.process.pid)]:
            kill(number)
        self.process.wait()


def environment() -> dict[str, str]:
    """Return that of a user who has activated this Python's environment."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def descendants(number: int) -> list[int]:
    """Return the processes below a process."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found, waiting = [], [number]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _command(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def telling(said: str) -> list[str]:
    """Return the lines of a call that tell a user how it ended, each once."""
    lines = [line.strip() for line in said.splitlines() if TOLD.search(line)]
    return list(dict.fromkeys(lines))
