"""Values of the configuration that stand for others.

Snakemake hands over all that stands inside ``--config 'section={key: 3}'`` as text, and takes 1e-3 for text. People
write a list of none as null, and a list of one as the one.
"""

from collections.abc import Mapping
from typing import Any

from workflow_scripts.study.schemas import Validator
from workflow_scripts.study.yaml_files import read_scalar


def restore_types(config: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Turn text into what YAML 1.2 takes it for, in place, where the schema does not allow the text.

    The text ``null`` is null wherever that is allowed; no entry has this name. Where a list is wanted, null is an empty
    one, and a word a list of one.

    Examples
    --------
    >>> config = {"rate": "1e-3", "name": "1e-3"}
    >>> restore_types(config, {"properties": {"rate": {"type": "number"}, "name": {"type": "string"}}})
    >>> config
    {'rate': 0.001, 'name': '1e-3'}
    >>> chosen = {"entry": "null"}
    >>> restore_types(chosen, {"properties": {"entry": {"type": ["string", "null"]}}})
    >>> chosen
    {'entry': None}
    >>> names = {"first": None, "second": "one"}
    >>> restore_types(names, {"additionalProperties": {"type": "array", "items": {"type": "string"}}})
    >>> names
    {'first': [], 'second': ['one']}
    """
    whole = Validator(schema)

    def restore(values: dict[str, Any], part: Mapping[str, Any]) -> None:
        for key, value in values.items():
            wanted = part.get("properties", {}).get(key, part.get("additionalProperties"))
            if not isinstance(wanted, Mapping):
                continue
            if isinstance(value, dict):
                restore(value, _resolved(wanted, schema))
                continue
            checked = whole.evolve(schema=wanted)
            if value == "null" and checked.is_valid(None):
                values[key] = None
            elif value in (None, "null") and not checked.is_valid(None) and checked.is_valid([]):
                values[key] = []
            elif isinstance(value, str) and not checked.is_valid(value) and checked.is_valid([value]):
                values[key] = [value]
            elif isinstance(value, str | list) and not checked.is_valid(value):
                values[key] = _typed(value)

    restore(config, schema)


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return read_scalar(value) if isinstance(value, str) else value


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    return part
