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
# YAML 1.1 takes 010 for 8 and 1:30 for 90, and 1.2 does not.
PLAIN_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
KINDS = ("null", "bool", "int", "float", "str", "seq", "map", "timestamp")
WORD = re.compile(r"[A-Za-z][\w.-]{0,40}$")
MOST_VALUES, MOST_LEVELS = 100_000, 50


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML's safe loader that refuses a key written twice, and a value that is not what it announces."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "int" and not PLAIN_INTEGER.match(str(node.value)):
            raise _refused("a whole number is written in plain digits, without a 0 before them", node)
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):
            raise _refused(f"a value that is no {kind}", node) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = key.value if key.tag.endswith(":merge") else self.construct_object(key)
            if name in lines:
                raise _refused(f"{_named(key.value)} is already in line {lines[name]}; merge the two", key)
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)


def _no_such_tag(_loader: _Loader, node: yaml.Node) -> Any:
    raise _refused("a tag (!) that means nothing here", node)


def _named(key: str) -> str:
    """Quote a key that can be one; a file that is no configuration may hold anything."""
    return f"key {key!r}" if WORD.match(key) else "a key"


_Loader.yaml_constructors = {
    tag: construct for tag, construct in _Loader.yaml_constructors.items() if tag and tag.rpartition(":")[2] in KINDS
} | {None: _no_such_tag}
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
        escape = "; write a path with / or in single quotes" if "escape" in (error.problem or "") else ""
        raise StudyError(f"{path}{line}: {error.problem or error.context}{tab}{escape}.") from None
    except yaml.YAMLError:
        raise StudyError(f"{path}: holds characters that YAML does not allow.") from None
    except RecursionError:
        raise StudyError(f"{path}: is nested too deeply.") from None
    _require_few(path, content)
    if not isinstance(content, dict):
        what = "is empty" if content is None else f"holds {'a list' if isinstance(content, list) else 'one value'}"
        raise StudyError(f"{path}: {what}; a file of this kind has `key: value` at the top level.")
    return content


def _require_few(path: Path, content: Any) -> None:
    """Refuse what aliases (*) make endless: a value inside itself, or copies of copies."""
    count, left = 0, [(content, 0)]
    while left:
        value, level = left.pop()
        count += 1
        if count > MOST_VALUES or level > MOST_LEVELS:
            raise StudyError(f"{path}: a value contains itself, or there are too many of them.")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((one, level + 1) for one in inner)


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
            raise StudyError(f"{path}: {_named(min(twice))} is written twice; merge the two.")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise StudyError(f"{path}, line {error.lineno}: {error.msg}.") from None
    except ValueError:
        raise StudyError(f"{path}: a number has too many digits.") from None
