"""The drill: things happen to a run, the same command follows each, and the end is as if nothing had happened."""

import itertools
import logging
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.drill.calls import BEGUN, Call, environment, telling
from tests.drill.faults import BEFORE, DURING, KINDS, LOCKED, MADE, WHILE, Moment, Place
from workflow_scripts.report.digest import digests

TRIES = 12  # of the same command in the end, each after one thing was done that the one before asked for
UNLOCK = re.compile(r"unlock it: (.+)$", re.MULTILINE)
DELETE = re.compile(r"(results/\S+)[^\n]*Remedy: delete it")
AGAIN = re.compile(r"To make them again: (.+)$", re.MULTILINE)


class Drill:
    """A study that things happen to.

    Parameters
    ----------
    place
        holds the study (scans, case sheet, study.yaml)
    words
        folder for what the calls say
    arguments
        of the one command that is given again and again
    seed
        of all that is left to chance: kinds, moments, victims
    """

    def __init__(self, place: Place, words: Path, arguments: Sequence[str], seed: int) -> None:
        self.place, self.words, self.arguments = place, words, list(arguments)
        self.chance = random.Random(seed)
        self.calls, self.complete, self.steps = 0, False, 0
        self.rows: list[dict[str, Any]] = []

    def begin(self) -> Call:
        self.calls += 1
        return Call(self.place.folder, self.place.code, self.words / f"call-{self.calls:03d}.txt", self.arguments)

    def undisturbed(self) -> dict[str, str]:
        """Run the command once, in a place of its own; returns the digests of what it made."""
        call = self.begin()
        if call.end():
            raise AssertionError(f"the undisturbed run failed:\n{call.said[-3000:]}")
        self.steps = len(BEGUN.findall(call.said))
        return digests(self.place.results)

    def suffer(self, faults: int, steps: int, kinds: Sequence[str] = KINDS) -> None:
        """Let ``faults`` things happen, at moments that are spread over a run of ``steps`` steps."""
        waiting: list[str] = []
        for number in range(1, faults + 1):
            if not waiting:
                waiting = self.chance.sample(kinds, len(kinds))
            kind = waiting.pop()
            if kind in BEFORE and not self.place.made():
                waiting.insert(0, kind)
                kind = next(one for one in waiting if one not in BEFORE)
                waiting.remove(kind)
            self._strike(number, kind, self.chance.randint(2, max(2, 2 * steps // faults)))

    def _strike(self, number: int, kind: str, moment: int) -> None:
        if self.complete:
            self._lose_a_stage()
        logging.info("%d: %s", number, kind)
        victim = BEFORE[kind](self.place, self.chance) if kind in BEFORE else ""
        call = self.begin()
        if not call.wait_for_steps(moment) and LOCKED in call.said:  # the call before was killed
            self._ended(call)
            call = self.begin()
            call.wait_for_steps(moment)
        time.sleep(self.chance.random())
        running = ", ".join(sorted(call.steps().values()))
        if kind in DURING:
            victim = DURING[kind](Moment(self.place, call, self.chance))
            self._ended(call)
        elif kind in WHILE:
            with WHILE[kind](self.place, call):
                victim = running
                self._ended(call)
        else:
            call.process.send_signal(signal.SIGINT)
            self._ended(call)
        self.rows.append({"number": number, "fault": kind, "struck": victim, "said": telling(call.said), "next": []})

    def _ended(self, call: Call) -> None:
        self.complete = not call.end()
        if self.rows:
            self.rows[-1]["next"] += telling(call.said)
        self._obey(call.said)

    def _obey(self, said: str) -> None:
        """Do what a message asks for."""
        if LOCKED in said:
            self._run(UNLOCK.search(said)[1])
        for name in DELETE.findall(said):
            (self.place.folder / name).unlink(missing_ok=True)

    def _run(self, command: str) -> str:
        options = {"cwd": self.place.folder, "env": environment(), "capture_output": True, "text": True}
        return subprocess.run(command, shell=True, **options).stderr

    def _lose_a_stage(self) -> None:
        """A finished study has nothing to disturb: take some of its end away."""
        first = self.chance.choice([stage for stage in MADE if (self.place.results / stage).exists()][-4:])
        for stage in [*MADE[MADE.index(first) :], "report"]:
            shutil.rmtree(self.place.results / stage, ignore_errors=True)
        self.complete = False

    def finish(self) -> dict[str, str]:
        """Give the same command until it has nothing to do; returns the digests of what is there."""
        for _ in range(TRIES):
            call = self.begin()
            self._ended(call)
            if found := AGAIN.search(call.said):
                self._run(found[1])
            elif self.complete and "Nothing to be done" in call.said:
                return digests(self.place.results)
        raise AssertionError(f"{TRIES} more calls did not finish the study:\n{call.said[-3000:]}")

    def left_over(self) -> list[str]:
        """Return what should not be there: temporary names, locks, marks of steps that have not ended."""
        half = (path for form in (".partial-*", ".*.lock") for path in self.place.results.rglob(form))
        marks = [(self.place.folder / ".snakemake" / name).glob("*") for name in ("locks", "incomplete")]
        return [str(path.relative_to(self.place.folder)) for path in itertools.chain(half, *marks)]
