"""The schemas of configuration and case sheet, and the message for a value that does not fit them."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SCHEMAS = Path(__file__).parents[2] / "rules" / "schemas"


def _finite(_: jsonschema.TypeChecker, instance: Any) -> bool:
    """YAML knows .nan and .inf, which no comparison with a bound refuses."""
    number = jsonschema.Draft202012Validator.TYPE_CHECKER.is_type(instance, "number")
    return number and (isinstance(instance, int) or math.isfinite(instance))


def _rising(
    validator: Any, wanted: bool | str, instance: Any, _: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    numbers = isinstance(instance, list) and all(validator.is_type(value, "number") for value in instance)
    if numbers and any(b < a or (wanted == "strictly" and b == a) for a, b in pairwise(instance)):
        yield jsonschema.ValidationError(f"{instance!r} is not in rising order")


# Numbers are finite, and the keyword `rising` says that those of an array rise: true, or strictly.
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"rising": _rising},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("number", _finite),
)


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


def first_error(values: Any, schema: Mapping[str, Any]) -> jsonschema.ValidationError | None:
    """Return the error that says best why values do not fit a schema; None where they fit."""
    return jsonschema.exceptions.best_match(Validator(schema).iter_errors(values))


def allowed(error: jsonschema.ValidationError) -> str:
    """Say what was given and what is allowed, in the words of the schema's description where it has one."""
    given = f"{error.instance!r} is not allowed"
    wanted = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    match error.validator:
        case "type" if isinstance(error.instance, float) and not math.isfinite(error.instance):
            return f"{given}; allowed: a number that is finite."
        case "required":
            missing = re.sub(r" is a required property$", "", error.message)
            return f"{missing} is missing; needed are {', '.join(error.validator_value)}."
        case "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})), key=str)
            return f"unknown {unknown}; allowed are {', '.join(sorted(error.schema.get('properties', {})))}."
        case "enum":
            return f"{given}; allowed: {', '.join(map(repr, error.validator_value))}."
        case "pattern":
            return f"{given}; allowed: {wanted or 'text that matches ' + error.validator_value}."
        case _:
            return f"{given}; allowed: {wanted}." if wanted else f"{error.message}."
