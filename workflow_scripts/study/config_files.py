"""The files that a configuration was merged from: which of them says what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.yaml_files import read_mapping

SHIPPED = Path(__file__).resolve().parents[2] / "config.yaml"
Key = Sequence[str | int]


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with what it does not say taken from the project's own file; lists are not merged."""
    return _merged(read_mapping(SHIPPED), config)


def complete_files(files: Sequence[Path | str]) -> dict[str, Any]:
    """Return the configuration that the project's own file and others say together, later ones overriding earlier."""
    config: dict[str, Any] = {}
    for file in files:
        config = _merged(config, read_mapping(file))
    return complete(config)


@dataclass(frozen=True)
class ConfigFiles:
    """Names and contents, later files overriding earlier ones."""

    contents: tuple[tuple[str, Any], ...]

    @classmethod
    def read(cls, files: Sequence[Path | str], given: Mapping[str, Any] | None = None) -> Self:
        """Read the files once, for all messages; ``given`` is what stands in no file, by its name, and is stronger."""
        contents = [(str(file), read_mapping(file)) for file in files]
        return cls((*contents, *(given or {}).items()))

    def refuse(self, key: Key, complaint: str) -> StudyError:
        """Return the error for a value, naming the file that it stands in and its key."""
        name = ".".join(str(part) for part in key) or "(top level)"
        return StudyError(f"{self._holder(key)}, key {name}: {complaint}")

    def are_shipped(self, config: Mapping[str, Any], key: Key) -> bool:
        """Say whether the value of a key is that of the project's own file."""
        for file, content in self.contents:
            if Path(file).resolve() == SHIPPED:
                try:
                    return _value(content, key) == _value(config, key)
                except KeyError:
                    return False
        return False

    def _holder(self, key: Key) -> str:
        """Name the last file that sets the key: the one whose value won."""
        for file, content in reversed(self.contents):
            try:
                _value(content, key)
            except (KeyError, IndexError, TypeError):
                continue
            return file
        return "configuration (" + ", ".join(file for file, _ in self.contents) + ")"


def _value(content: Any, key: Key) -> Any:
    for part in key:
        content = content[part]
    return content


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if both else value
    return merged
