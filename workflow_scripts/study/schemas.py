"""The schemas of configuration and case sheet, and the message for a value that does not fit them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SCHEMAS = Path(__file__).parents[2] / "rules" / "schemas"


class StudyError(Exception):
    """The configuration or the case sheet is wrong; the text names file, row or key, the value and what is allowed."""


def load_schema(name: str) -> dict[str, Any]:
    """Read ``rules/schemas/{name}.schema.yaml``; an object must have every property that it does not call optional."""
    schema = yaml.load(
        (SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    _require_properties(schema)
    return schema


def _require_properties(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _require_properties(part)
    elif isinstance(schema, dict):
        for part in schema.values():
            _require_properties(part)
        if schema.get("type") == "object" and "properties" in schema:
            optional = schema.pop("optional", [])
            schema["required"] = [name for name in schema["properties"] if name not in optional]


def allowed(error: jsonschema.ValidationError) -> str:
    """Say what was given and what is allowed, in the words of the schema's description where it has one."""
    given = f"{error.instance!r} is not allowed"
    wanted = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    match error.validator:
        case "required":
            missing = re.sub(r" is a required property$", "", error.message)
            return f"{missing} is missing; needed are {', '.join(error.validator_value)}."
        case "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return f"unknown {unknown}; allowed are {', '.join(sorted(error.schema.get('properties', {})))}."
        case "enum":
            return f"{given}; allowed: {', '.join(map(repr, error.validator_value))}."
        case "pattern":
            return f"{given}; allowed: {wanted or 'text that matches ' + error.validator_value}."
        case _:
            return f"{given}; allowed: {wanted}." if wanted else f"{error.message}."
