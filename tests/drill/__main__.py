"""`make drill`: a small study to which things happen at random, and which ends as if nothing had happened.

Writes ``drill.tsv`` into the folder, one row a fault: what was struck, how that call ended, what the next one said.
As root the study lies on a small disk of its own, which is filled and made read-only; else limits and rights stand for
that. The two runs use two copies of the workflow.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.drill.drill import Drill
from tests.drill.faults import KINDS, Place
from tests.drill.study import write_small_study
from tests.workflow import copy_workflow
from workflow_scripts.common.files import write_tsv

COLUMNS = ("number", "fault", "struck", "said", "next")
DISK_MB = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="empty folder; the undisturbed run stays in it")
    parser.add_argument("--faults", type=int, default=30, help="how many things happen (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is left to chance (default: 1)")
    parser.add_argument("--target", default="all", help="target of the one command (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of faults (default: every kind)")
    parser.add_argument("--jobs", choices=("cases", "steps"), default="cases", help="of the study (default: cases)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = arguments.out.resolve()
    if os.geteuid() == 0 and "DRILL_MOUNTS" not in os.environ and _may_mount():
        # Mounts of a namespace of its own are gone with the drill, however it ends.
        command = ["unshare", "--mount", sys.executable, "-m", "tests.drill", *sys.argv[1:]]
        raise SystemExit(subprocess.run(command, env=os.environ | {"DRILL_MOUNTS": "1"}, check=False).returncode)
    mounted = "DRILL_MOUNTS" in os.environ
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"{out} is not empty: a drill lies in it. Remove it, or give another folder.")
    for name in ("undisturbed", "struck"):
        (out / "words" / name).mkdir(parents=True)
    command = [arguments.target, "--cores", "2", "--configfile", "study.yaml"]
    undisturbed = Place(out / "undisturbed", out / "first clone")
    struck = Place(out / "struck", out / "second clone", mounted)
    write_small_study(undisturbed.folder, arguments.jobs)
    struck.folder.mkdir()
    for place in (undisturbed, struck):
        place.code.mkdir()
        copy_workflow(place.code)
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", struck.folder], check=True)
    for name in ("scans", "cases.tsv", "study.yaml"):
        subprocess.run(["cp", "-a", undisturbed.folder / name, struck.folder], check=True)
    reference = Drill(undisturbed, out / "words" / "undisturbed", command, arguments.seed)
    expected = reference.undisturbed()
    logging.info("undisturbed: %d steps, %d files", reference.steps, len(expected))
    drill = Drill(struck, out / "words" / "struck", command, arguments.seed)
    try:
        drill.suffer(arguments.faults, reference.steps, arguments.kinds)
        found = drill.finish()
    finally:
        rows = [row | {key: " | ".join(row[key]) for key in ("said", "next")} for row in drill.rows]
        write_tsv(out / "drill.tsv", rows, COLUMNS)
    logging.info("%d calls; missing: %s", drill.calls, sorted(expected.keys() - found.keys()) or "nothing")
    differing = sorted(name for name in found if expected.get(name) != found[name])
    logging.info("files that differ from the undisturbed run: %s", differing or "none")
    logging.info("left over: %s", drill.left_over() or "nothing")
    raise SystemExit(expected != found or bool(drill.left_over()))


def _may_mount() -> bool:
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(tried, check=False, capture_output=True).returncode


if __name__ == "__main__":
    main()
