"""The folder of a training: what it began from, its saved states, and its results, which no later run deletes.

Layout, below the training's state folder, which no rule declares (Snakemake deletes outputs of a job that failed)::

    {digest}/began_from.json   settings, data and seed that the training began with, the code that it ran with, and
                               checksums of its kept outputs
    {digest}/…                 its saved states, until it has finished
    {digest}/finished/         copies of its outputs, kept for good
    {digest}/events/           its curves for TensorBoard, also kept

The digest is that of settings, data and seed. The code is reported but is not part of it: a moved comment must not cost
a week of training, and a person decides whether changed code needs a new training (``retrain``).
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_scripts.common.digests import bytes_digest, file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, replacing, replacing_folder, write_json

log = logging.getLogger(__name__)

RECORD, FINISHED, EVENTS = "began_from.json", "finished", "events"
STATES = "step-*.pt"  # names of `workflow_scripts.common.saved_states`
NAMED_DIFFERENCES = 5


@dataclass(frozen=True)
class Training:
    """One training: its folder of saved states, and the outputs that it makes."""

    folder: Path
    outputs: tuple[Path, ...]

    @property
    def finished(self) -> bool:
        """Whether its outputs are there, from this or an earlier run."""
        return (self.folder / FINISHED).is_dir()

    @property
    def code(self) -> list[str]:
        """Digests of the code that it ran with, one after the other."""
        return _record_of(self.folder)["code"]

    def restore(self) -> None:
        """Put copies of the kept outputs under their names, with the current time, as Snakemake expects of new outputs.

        Raises `InputError` when a kept output is missing, damaged or without a checksum; it is not put back then.
        Saved states go, which a process that was killed as it finished has left.
        """
        checksums = _record_of(self.folder).get("kept", {})
        for output in self.outputs:
            kept = self.folder / FINISHED / output.name
            with replacing(output) as temporary:
                if kept.is_file():
                    shutil.copyfile(kept, temporary)
                if file_digest(temporary) != checksums.get(output.name):
                    raise InputError(
                        f"The result of this training, kept in {kept}, is missing, damaged or without a checksum.",
                        "put an intact copy there; or give --config retrain=true to train anew.",
                    )
        self._remove_states()

    def finish(self) -> None:
        """Keep copies of the outputs, record their checksums and remove all saved states."""
        record = self.folder / RECORD
        with replacing_folder(self.folder / FINISHED) as kept:
            for output in self.outputs:
                shutil.copyfile(output, kept / output.name)
                _wait_for_disk(kept / output.name)
            checksums = {output.name: file_digest(output) for output in self.outputs}
            write_json(record, {**_record_of(self.folder), "kept": checksums})
            _wait_for_disk(record)
        self._remove_states()

    def _remove_states(self) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name not in (FINISHED, EVENTS):
                shutil.rmtree(entry)
            elif entry.is_file() and entry.name != RECORD:
                entry.unlink()


def open_training(
    state: Path, description: Mapping[str, Any], code: str, outputs: Sequence[Path], retrain: bool
) -> Training:
    """Find or make the folder of a training.

    Parameters
    ----------
    state
        folder of all trainings of this name
    description
        settings, seed and digests of the data: everything that determines the result, as (nested) JSON types.
        Digests are of values, since a dataset that is made again has the same values in other bytes
    code
        digest of the code (`workflow_scripts.study.code_digest`); a change is only reported
    outputs
        the files that the training makes, with different names
    retrain
        begin anew if this training has finished, or if another description was trained before

    Raises
    ------
    InputError
        when a training with another description has begun or finished, naming the differences
    """
    description = json.loads(json.dumps(description))
    training = Training(state / _digest(description), tuple(outputs))
    record = training.folder / RECORD
    if record.is_file():
        began = _record_of(training.folder)
        if training.finished and retrain:
            log.info("training anew, as asked; the results of before are replaced")
            shutil.rmtree(training.folder)
        elif code not in began["code"]:
            log.warning("trained with code %s; the code is now %s", ", ".join(began["code"]), code)
            if not training.finished:
                write_json(record, {**began, "code": [*began["code"], code]})
    elif not retrain:
        _refuse_others(state, description)
    if not record.is_file():
        write_json(record, {"description": description, "code": [code]})
    return training


def made_with_other_code(states: Path, code: str) -> list[str]:
    """Name the trainings below ``states`` whose kept results were made with other code than ``code``.

    A name is the path of a training's folder relative to ``states``.
    """
    latest: dict[Path, tuple[float, Path]] = {}
    for kept in states.glob(f"**/{FINISHED}"):
        folder = kept.parent
        latest[folder.parent] = max(latest.get(folder.parent, (0.0, folder)), (kept.stat().st_mtime, folder))
    return sorted(
        str(state.relative_to(states))
        for state, (_, folder) in latest.items()
        if _record_of(folder)["code"][-1] != code
    )


def describe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first differences of two nested mappings in words, and the number of further ones."""
    found = list(differences(old, new))
    named = "; ".join(found[:NAMED_DIFFERENCES])
    return named + (f"; and {len(found) - NAMED_DIFFERENCES} more" if len(found) > NAMED_DIFFERENCES else "")


def differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Yield ``a.b was 1, is now 2`` for every value of nested mappings that differs; lists are compared whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            if name not in new:
                yield f"{inner} was {_short(old[name])}, is now absent"
            elif name not in old:
                yield f"{inner} was absent, is now {_short(new[name])}"
            else:
                yield from differences(old[name], new[name], inner)
    elif old != new:
        yield f"{key} was {_short(old)}, is now {_short(new)}"


def _refuse_others(state: Path, description: Mapping[str, Any]) -> None:
    begun = (path for path in state.glob(f"*/{RECORD}") if _is_worth_keeping(path.parent))
    records = sorted(begun, key=lambda path: path.stat().st_mtime)
    if records:
        found = describe_differences(_record_of(records[-1].parent)["description"], description)
        raise InputError(
            f"This training was begun or finished before with other settings or data: {found}.",
            "put them back to use the earlier training, or give --config retrain=true to train anew. "
            f"The earlier training stays in {records[-1].parent}.",
        )


def _record_of(training: Path) -> dict[str, Any]:
    return read_json(training / RECORD, ["description", "code"])


def _is_worth_keeping(training: Path) -> bool:
    """Say whether it finished or saved a state: one that failed at once is in no one's way."""
    return (training / FINISHED).is_dir() or any(training.glob(STATES))


def _digest(description: Mapping[str, Any]) -> str:
    return bytes_digest(json.dumps(description, sort_keys=True).encode())[:16]


def _wait_for_disk(file: Path) -> None:
    """Wait until a file is on the disk: after a power failure the states that it came from would be gone."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
