"""What happens to a run, or to its files; each fault says what it struck."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.drill.calls import Call, descendants, kill

MADE = ("ingest", "preprocess", "split", "pretrain", "finetune", "segment", "evaluate")
LEFT_BYTES = 2**14  # of a full disk: Snakemake can still say something, no step can write its output
DAY_S = 86_400
LOCKED = "cannot be locked"


@dataclass(frozen=True)
class Place:
    """The folder of a study and that of the workflow; ``mounted`` where the first is a disk that can be filled."""

    folder: Path
    code: Path
    mounted: bool = False

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def made(self) -> list[Path]:
        """Return the files that steps have made."""
        files = [path for stage in MADE for path in sorted((self.results / stage).rglob("*"))]
        return [path for path in files if path.is_file() and path.stat().st_size and not path.name.startswith(".")]


@dataclass(frozen=True)
class Moment:
    """A running call, and the generator of what is left to chance."""

    place: Place
    call: Call
    chance: random.Random


def a_step_is_killed(moment: Moment) -> str:
    steps = moment.call.steps()
    if not steps:
        return "no step ran"
    number = moment.chance.choice(sorted(steps))
    kill(number)
    return steps[number]


def snakemake_is_killed(moment: Moment) -> str:
    """Its steps go on without it, while the same command begins again."""
    steps = moment.call.steps()
    kill(moment.call.process.pid)
    return f"Snakemake; {_named(steps)} went on"


def the_power_fails(moment: Moment) -> str:
    steps = moment.call.steps()
    moment.call.kill_all()
    return f"Snakemake and {_named(steps)}"


def a_second_one_begins(moment: Moment) -> str:
    """The second call of the same command has to stop, and the first to go on."""
    call = moment.call
    second = Call(moment.place.folder, moment.place.code, call.words.with_suffix(".second"), call.arguments)
    status = second.end()
    if not call.running:
        return "the first had ended"
    # It stops at the lock, or before, where a file that it looks at has just been removed by the first.
    assert status and "unlock it: " in second.said, second.said[-2000:]
    call.process.send_signal(signal.SIGINT)
    return "the second; the first went on"


def _named(steps: dict[int, str]) -> str:
    return ", ".join(sorted(steps.values())) or "no step"


@contextmanager
def full_disk(place: Place, call: Call) -> Iterator[None]:
    """Leave no room, for as long as the call lasts; where no disk was mounted, no file may grow large."""
    if not place.mounted:
        for number in [call.process.pid, *descendants(call.process.pid)]:
            with suppress(ProcessLookupError):
                resource.prlimit(number, resource.RLIMIT_FSIZE, (LEFT_BYTES, LEFT_BYTES))
        yield
        return
    ballast = place.folder / "ballast"
    with ballast.open("wb") as handle:
        while (room := shutil.disk_usage(place.folder).free - LEFT_BYTES) > 0:
            with suppress(OSError):  # a step was faster
                os.posix_fallocate(handle.fileno(), os.fstat(handle.fileno()).st_size, room)
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(place: Place, _: Call) -> Iterator[None]:
    """Take the right to write results away, for as long as the call lasts."""
    if place.mounted:  # root writes wherever a mount lets it
        subprocess.run(["mount", "--bind", place.results, place.results], check=True)
        remount = ["mount", "-o", "remount,bind,ro", place.results]
        while subprocess.run(remount, check=False, capture_output=True).returncode:  # a step has just opened a file
            time.sleep(0.1)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", place.results], check=True)
        return
    folders = [place.results, *(path for path in place.results.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)


def a_file_is_cut(place: Place, chance: random.Random) -> str:
    path = chance.choice(place.made())
    os.truncate(path, chance.randrange(path.stat().st_size))
    os.utime(path)
    return str(path.relative_to(place.folder))


def a_bit_is_flipped(place: Place, chance: random.Random) -> str:
    path = chance.choice(place.made())
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return str(path.relative_to(place.folder))


def the_clock_jumps(place: Place, chance: random.Random) -> str:
    """A scan, or a file that a step made, is of tomorrow."""
    scans = [path for path in sorted((place.folder / "scans").rglob("*")) if path.is_file()]
    path = chance.choice(chance.choice([scans, place.made()]))
    tomorrow = time.time() + DAY_S
    os.utime(path, (tomorrow, tomorrow))
    return str(path.relative_to(place.folder))


DURING: dict[str, Callable[[Moment], str]] = {
    "SIGKILL to a step": a_step_is_killed,
    "SIGKILL to Snakemake": snakemake_is_killed,
    "power failure": the_power_fails,
    "second Snakemake": a_second_one_begins,
}
WHILE: dict[str, Callable] = {"full disk": full_disk, "read-only results": read_only}
BEFORE: dict[str, Callable[[Place, random.Random], str]] = {
    "file cut off": a_file_is_cut,
    "bit flipped": a_bit_is_flipped,
    "clock jump": the_clock_jumps,
}
KINDS = [*DURING, *WHILE, *BEFORE]
