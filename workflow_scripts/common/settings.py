"""Settings, declared once as a dataclass: read from a mapping, or given as command-line options."""

import argparse
import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from workflow_scripts.common.errors import InputError

Settings = TypeVar("Settings")


def from_mapping(kind: type[Settings], mapping: Mapping[str, Any], where: str) -> Settings:
    """Build a dataclass, and those that it consists of, from nested mappings; lists become tuples.

    Raises `InputError` when a key is missing or unknown, naming it after ``where``.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            f"In {where}, {mapping!r} stands where keys and values should.", "let the workflow write the file."
        )
    names = [field.name for field in fields(kind)]
    missing, unknown = sorted(set(names) - set(mapping)), sorted(set(mapping) - set(names))
    if missing or unknown:
        raise InputError(
            f"In {where}, keys are missing {missing} or unknown {unknown}.", "let the workflow write the file."
        )
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], mapping[name], f"{where}.{name}") for name in names})


def to_mapping(settings: Any) -> dict[str, Any]:
    """Return a dataclass as plain mappings, lists and scalars."""
    return _plain(asdict(settings))


def add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    """Add a required option for every field of a dataclass: ``--max-step-mm 1.0``, ``--window-hu 0 80``, ``--no-x``.

    A field that may be None has an option that may be left out.
    """
    for name, hint in get_type_hints(kind).items():
        hint, required = _without_none(hint)
        option: dict[str, Any] = {"required": required}
        if hint is bool:
            option["action"] = argparse.BooleanOptionalAction
        elif get_origin(hint) is tuple:
            element, *rest = get_args(hint)
            option |= {"type": element, "nargs": "+" if rest == [...] else 1 + len(rest)}
        else:
            option["type"] = hint
        parser.add_argument(f"--{name.replace('_', '-')}", **option)


def from_options(kind: type[Settings], arguments: argparse.Namespace) -> Settings:
    """Collect the options of `add_options`."""
    return kind(**{field.name: _value(None, getattr(arguments, field.name), "") for field in fields(kind)})


def _value(kind: Any, value: Any, where: str) -> Any:
    kind, _ = _without_none(kind)
    if is_dataclass(kind) and value is not None:
        return from_mapping(kind, value, where)
    return tuple(value) if isinstance(value, list) else value


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, True
    (only,) = (each for each in get_args(hint) if each is not type(None))
    return only, False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
