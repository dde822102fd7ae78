"""How far a study is: the cases and files that are done of all, stage by stage, and the time that a stage still needs.

Run by hand beside a run, or after it: ``python -m workflow_scripts.study.progress --configfile mine.yaml``.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.study.config_files import SHIPPED, complete_files
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study, load_study
from workflow_scripts.study.targets import NEED_ARMS, STAGES, stage_files

CASE_STAGES = ("ingest", "preprocess")


@dataclass(frozen=True)
class Progress:
    """A stage: files and cases that are there, and all; seconds that the rest takes at the pace so far."""

    stage: str
    done: int
    files: int
    cases_done: int | None
    cases: int | None
    seconds_left: float | None


def progress(study: Study) -> list[Progress]:
    """Look at the files of every stage of a study; stages that need an arm are left out where there is none."""
    stages = [stage for stage in STAGES if study.arms or stage not in NEED_ARMS]
    return [_of_stage(study, stage) for stage in stages]


def _of_stage(study: Study, stage: str) -> Progress:
    files = [Path(name) for name in stage_files(study, stage)]
    times = {file: file.stat().st_mtime for file in files if file.exists()}
    left = None
    if 1 < len(times) < len(files):
        left = (max(times.values()) - min(times.values())) / (len(times) - 1) * (len(files) - len(times))
    if stage not in CASE_STAGES:
        return Progress(stage, len(times), len(files), None, None, left)
    # A case has a folder of its own; pages of cohorts, which all_preprocess asks for too, have none.
    names = {f"{case.cohort}/{case.case}" for case in study.cases}
    missing = {"/".join(file.parent.parts[-2:]) for file in files if file not in times}
    return Progress(stage, len(times), len(files), len(names - missing), len(names), left)


def told(stages: Sequence[Progress]) -> str:
    """Return a table in plain text."""
    lines = [f"{'stage':<11}{'cases':>15}{'files':>17}   left at this pace"]
    for one in stages:
        cases = "" if one.cases is None else f"{one.cases_done} of {one.cases}"
        left = "" if one.seconds_left is None else f"{one.seconds_left / 60:.0f} min"
        lines.append(f"{one.stage:<11}{cases:>15}{f'{one.done} of {one.files}':>17}   {left}".rstrip())
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="as in the call of Snakemake")
    parser.add_argument("--cases", help="case sheet, where the call of Snakemake names it")
    arguments = parser.parse_args(argv)
    try:
        config = complete_files(arguments.configfile)
        if arguments.cases:
            config["cases"] = arguments.cases
        study = load_study(config, [SHIPPED, *arguments.configfile], check_paths=False)
        sys.stdout.write(told(progress(study)))
    except StudyError as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
