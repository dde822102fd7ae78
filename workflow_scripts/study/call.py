"""A call of Snakemake, checked before Snakemake reads the files that it names, and after the rules are known."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.yaml_files import read_mapping

TARGETS_FIRST = "targets stand before --configfile and --config, which take every word that follows them"


def check_call(
    config_files: Sequence[Path | str] | None,
    config: Sequence[str] | None,
    profiles: Sequence[tuple[Path, Path] | None],
) -> None:
    """End with a message where Snakemake would end with a traceback, or take what is meant otherwise.

    Parameters
    ----------
    config_files, config
        what stands after --configfile and --config, as Snakemake's parser gives it
    profiles
        folder and file of each profile, None for one that Snakemake does not find
    """
    try:
        for file in config_files or []:
            if not Path(file).exists():
                raise StudyError(f"--configfile {file}: there is no such file; {TARGETS_FIRST}.")
            read_mapping(file)
        check_config(config or [])
        for _, file in filter(None, profiles):
            read_mapping(file)
    except StudyError as error:
        raise SystemExit(f"Error: {error}") from None


def check_config(entries: Sequence[str]) -> None:
    """Check what stands after --config; raises `StudyError` for an entry that Snakemake cannot read."""
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals:
            raise StudyError(f"--config {entry}: is not KEY=VALUE; {TARGETS_FIRST}.")
        if re.fullmatch(r"\w+(\.\w+)+", key):
            section, *inner = key.split(".")
            written = ": {".join(inner) + f": {value}" + "}" * len(inner)
            raise StudyError(f"--config {entry}: a key inside a section is written --config '{section}={{{written}'.")
        if not re.fullmatch(r"[A-Za-z_][\w-]*\w", key):
            raise StudyError(f"--config {entry}: {key!r} is not the name of a key of the configuration.")


def check_swallowed(options: Mapping[str, Iterable[str]], names: Iterable[str]) -> None:
    """Raise `StudyError` where an option that takes every word which follows it took a named target of the study."""
    targets = set(names)
    for option, words in options.items():
        for name in targets.intersection(words):
            raise StudyError(
                f"{option} has taken {name}, and every other word that follows it: write targets before it."
            )


def check_targets(targets: Sequence[str], names: Sequence[str], left_out: Iterable[str], known: Iterable[str]) -> None:
    """Check that each target is one that this study has.

    Parameters
    ----------
    targets
        as the call names them
    names
        named targets of the study
    left_out
        what the study leaves out, as ``arms.FS-STKi``
    known
        those of the targets that are other rules, or files which are there or which a rule makes

    Raises
    ------
    StudyError
        which names the nearest target, all of them, and the key that adds one
    """
    known, left_out = {*names, *known}, set(left_out)
    for target in targets:
        if target in known:
            continue
        kind, _, name = target.partition("_")
        if f"{kind}s.{name}" in left_out:
            raise StudyError(f"{target}: this arm is left out of the study (see the lines `Left out`).")
        begun = [name for name in names if name.startswith(target)]
        near = begun or difflib.get_close_matches(target, names, n=1, cutoff=0.5)
        meant = f"; is {near[0]} meant?" if near else "."
        keys = {
            "arm": " An arm is a target when key run.arms of the configuration names it.",
            "cohort": " A cohort is a target when the case sheet has cases of it (key cases of the configuration).",
        }
        files = " A file is a target by its path as the workflow writes it, below the folder of key outdir."
        raise StudyError(
            f"{target} is no target of this study{meant}{keys.get(kind, '')}\n"
            f"Targets: {', '.join(sorted(names))}.{files if '/' in target else ''}"
        )
