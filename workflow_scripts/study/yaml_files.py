"""Configuration files and profiles, read strictly: each key once, numbers as YAML 1.2 has them, messages with lines."""

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.study.schemas import StudyError

# PyYAML keeps to YAML 1.1, where 1e-3 and 1.0e3 are text.
FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML's safe loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                problem = f"key {key.value!r} is already in line {lines[key.value]}; merge the two"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Read a file of keys at the top level, YAML or JSON.

    Raises `StudyError`, which names the file and, where there is one, the line: no such file, not text, broken, empty,
    a list, a key written twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _parsed(path, text)
    except UnicodeDecodeError:
        raise StudyError(f"{path}: not UTF-8 text; save it with that encoding.") from None
    except OSError as error:
        reason = "is a folder, not a file" if path.is_dir() else error.strerror or "cannot be read"
        raise StudyError(f"{path}: {reason}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        indented = text.splitlines()[mark.line][: mark.column + 1] if mark and mark.line < text.count("\n") else ""
        tab = "; YAML is indented by spaces, not by tabs" if "\t" in indented else ""
        raise StudyError(f"{path}{line}: {error.problem or error.context}{tab}.") from None
    except yaml.YAMLError:
        raise StudyError(f"{path}: holds characters that YAML does not allow.") from None
    if not isinstance(content, dict):
        what = "is empty" if content is None else f"holds {'a list' if isinstance(content, list) else 'one value'}"
        raise StudyError(f"{path}: {what}; a file of this kind has `key: value` at the top level.")
    return content


def read_scalar(text: str) -> Any:
    """Return what YAML 1.2 takes a word for: a number, true, false, null; the word itself where it is none of these."""
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _parsed(path: Path, text: str) -> Any:
    if path.suffix != ".json":
        return yaml.load(text, _Loader)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise StudyError(f"{path}: key {min(twice)!r} is written twice; merge the two.")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise StudyError(f"{path}, line {error.lineno}: {error.msg}.") from None
