"""Take one case, or a batch of cases, through many steps: a Snakemake of its own runs those that are not up to date.

The configuration comes in the environment, as JSON (rules/common.smk): it is long, and a failed job's command is shown.
"""

import argparse
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import write_json
from workflow_scripts.common.locks import alone_with
from workflow_scripts.study.config_files import SHIPPED
from workflow_scripts.study.study import load_study
from workflow_scripts.study.whole_jobs import FORCED, INSIDE, SETUP, batches, cases, steps
from workflow_scripts.study.whole_jobs.record import write_record

STILL_WRITTEN = "Waiting for processes of an earlier call, which still write these files."

log = logging.getLogger(__name__)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--case")
    what.add_argument("--batch", help="number of a batch of the cohort; with --arm")
    parser.add_argument("--arm", help="arm, or budget of one, that segments the batch")
    parser.add_argument("--rules", nargs="+", required=True, help="the steps; what other rules make is there")
    parser.add_argument("--threads", type=int, required=True, help="cores that steps share")
    parser.add_argument("--mem-mb", type=int, required=True, help="memory that steps share, MB")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that steps share")
    parser.add_argument("--out", required=True, help="record of the files, JSON")
    parser.add_argument(
        "--call", default="", help="options of the study's call that are for its steps too, in one word"
    )
    return parser.parse_args(argv)


def command(
    arguments: argparse.Namespace, targets: Sequence[str], configuration: str, force: Sequence[str]
) -> list[str]:
    """Return the call of Snakemake, with steps to ``force``. The lock is that of the study's own call."""
    again = [*steps.forced(os.environ.get(FORCED, "").splitlines(), arguments.rules, arguments.out), *force]
    gpus = ["--resources", f"mem_mb={arguments.mem_mb}", f"gpu={arguments.gpus}"]
    return [
        *(sys.executable, "-m", "snakemake", *targets, "--snakefile", str(SHIPPED.with_name("Snakefile"))),
        *("--configfile", configuration, "--executor", "local", "--scheduler", "greedy", "--nolock", "--nocolor"),
        *("--rerun-incomplete", "--show-failed-logs", "--keep-going", "--quiet", "host", "--workflow-profile", "none"),
        *("--cores", str(arguments.threads), *gpus, "--allowed-rules", *arguments.rules),
        *shlex.split(arguments.call),
        *(["--forcerun", *again] if again else []),
    ]


def ended(call: Sequence[str], environment: Mapping[str, str], lock: int) -> int:
    """Run a call and return its status. Ctrl-C reaches it too, and it is let to end its steps.

    ``lock`` is its standard input, which all its steps inherit: they hold it as long as they run.
    """
    with subprocess.Popen(call, env=environment, stdin=lock) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise


def main(argv: Sequence[str] | None = None) -> None:
    """Run the steps; write the record of the files."""
    arguments = parse(argv)
    record = Path(arguments.out)
    with alone_with(record.with_name(f".{record.name}.lock"), STILL_WRITTEN) as lock:
        make(arguments, lock)


def make(arguments: argparse.Namespace, lock: int) -> None:
    """Run the steps; write the record of the files. ``lock`` keeps others from the same case or batch."""
    config: dict[str, Any] = json.loads(os.environ[SETUP])
    study = load_study(config, [SHIPPED], check_paths=False)
    if arguments.case:
        targets = cases.files(study, arguments.cohort, arguments.case)
        force = cases.steps_of_missing(study, arguments.cohort, arguments.case)
    else:
        targets, force = batches.files(study, arguments.arm, arguments.cohort, arguments.batch), []
    environment = {name: value for name, value in os.environ.items() if name not in ("SNAKEMAKE_PROFILE", SETUP)}
    environment[INSIDE] = "yes"
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "study.json")
        write_json(configuration, config)
        status = ended(command(arguments, targets, str(configuration), force), environment, lock)
    if status:
        log.error("A step failed; what it said stands above, and in its own log.")
        raise SystemExit(status if status > 0 else 128 - status)  # as a shell tells of a signal
    write_record(arguments.out, targets)


if __name__ == "__main__":
    run(main)
