"""The files that a configuration was merged from: which of them says what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.yaml_files import read_mapping

SHIPPED = Path(__file__).resolve().parents[2] / "config.yaml"
COMMAND_LINE = "--config, on the command line"
Key = Sequence[str | int]


@dataclass(frozen=True)
class ConfigFiles:
    """Names and contents, later files overriding earlier ones."""

    contents: tuple[tuple[str, Any], ...]

    @classmethod
    def read(cls, files: Sequence[Path | str], given: Mapping[str, Any] | None = None) -> Self:
        """Read the files once, for all messages; ``given`` is what the command line says, and is stronger than they."""
        contents = tuple((str(file), read_mapping(file)) for file in files)
        return cls((*contents, (COMMAND_LINE, given)) if given else contents)

    def refuse(self, key: Key, complaint: str) -> StudyError:
        """Return the error for a value, naming the file that it stands in and its key."""
        name = ".".join(str(part) for part in key) or "(top level)"
        return StudyError(f"{self._holder(key)}, key {name}: {complaint}")

    def are_shipped(self, config: Mapping[str, Any], key: Key) -> bool:
        """Say whether the value of a key is that of the project's own file, which nobody overrides."""
        for file, content in self.contents:
            if Path(file).resolve() == SHIPPED:
                return self._holder(key) == file and _value(content, key) == _value(config, key)
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
