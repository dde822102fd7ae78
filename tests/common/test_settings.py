"""Settings are declared once: configuration, schema, dataclasses and command lines agree."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pytest
import yaml

from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_yaml
from workflow_scripts.common.settings import add_options, from_mapping, from_options, to_mapping
from workflow_scripts.common.write_settings import main
from workflow_scripts.finetune.training.settings import FinetuneSettings
from workflow_scripts.finetune.training.settings import parse_settings as parse_finetune
from workflow_scripts.preprocess.quality.checks import QualityLimits
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.pretrain.settings import parse_settings
from workflow_scripts.study.schemas import load_schema

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Inner:
    start: float
    size: tuple[int, int]


@dataclass(frozen=True)
class Example:
    steps: int
    window_hu: tuple[float, float]
    names: tuple[str, ...]
    clip: float | None
    symmetry: bool


EXAMPLE = Example(3, (0.0, 80.0), ("a", "b"), None, False)
WORDS = ["--steps", "3", "--window-hu", "0", "80", "--names", "a", "b", "--no-symmetry"]


def parse(words: list[str]) -> Example:
    parser = argparse.ArgumentParser()
    add_options(parser, Example)
    return from_options(Example, parser.parse_args(words))


def test_options_of_a_dataclass_are_read_back():
    assert parse(WORDS) == EXAMPLE
    assert parse([*WORDS[:-1], "--symmetry", "--clip", "1.5"]).clip == 1.5


@pytest.mark.parametrize("left_out", ["--steps", "--names", "--no-symmetry"])
def test_an_option_without_a_value_in_the_configuration_has_no_default(left_out):
    start = WORDS.index(left_out)
    end = next((i for i in range(start + 1, len(WORDS)) if WORDS[i].startswith("--")), len(WORDS))
    with pytest.raises(SystemExit):
        parse(WORDS[:start] + WORDS[end:])


def test_mappings_become_nested_dataclasses_and_back():
    mapping = {"start": 1.0, "size": [2, 3]}
    assert from_mapping(Inner, mapping, "span") == Inner(1.0, (2, 3))
    assert to_mapping(Inner(1.0, (2, 3))) == mapping
    with pytest.raises(InputError, match=r"In span, keys are missing \['size'\] or unknown \['sise'\]"):
        from_mapping(Inner, {"start": 1.0, "sise": 2}, "span")


def test_settings_are_written_in_the_order_that_they_are_given_in(tmp_path):
    main(
        [
            "--settings",
            '{"b": 1e-3, "a": {"z": [1, 2], "text": "a {b}", "none": null}}',
            "--out",
            str(tmp_path / "s.yaml"),
        ]
    )
    assert read_yaml(tmp_path / "s.yaml") == {"b": 0.001, "a": {"z": [1, 2], "text": "a {b}", "none": None}}
    assert (tmp_path / "s.yaml").read_text().startswith("b: 0.001\na:\n")


def objects(
    schema: dict[str, Any], content: Any, definitions: dict[str, Any], key: str = ""
) -> Iterator[tuple[str, set, set]]:
    """Yield each object of a schema with the names that it and the configuration have there."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    if "properties" in schema:
        yield key, set(schema["required"]), set(content)
        for name in schema["required"]:
            yield from objects(schema["properties"][name], content[name], definitions, f"{key}.{name}")


def test_schema_and_configuration_have_the_same_keys():
    schema = load_schema("config")
    for key, wanted, given in objects(schema, CONFIG, schema["$defs"]):
        assert wanted == given, key


@pytest.mark.parametrize("name", CONFIG["pretrainings"])
@pytest.mark.parametrize("preset", CONFIG["pretrain"]["optimisers"])
def test_the_settings_of_a_pretraining_are_those_of_the_configuration(name, preset):
    shared = {**CONFIG["pretrain"], "preset": preset}
    shared["optimiser"] = shared.pop("optimisers")[preset]
    own = {"pretraining": name, "seed": CONFIG["seed"], **CONFIG["pretrainings"][name]}
    assert parse_settings(own | shared).to_mapping() == own | shared


def test_the_settings_of_a_finetuning_are_those_of_the_configuration():
    own = {"train", "channels", "pretraining", "statistics_from"}
    for arm in CONFIG["arms"].values():
        assert {field.name for field in fields(FinetuneSettings)} == (arm.keys() | CONFIG["finetune"].keys()) - own


@pytest.mark.parametrize(
    ("kind", "section", "others"),
    [(RegistrationSettings, "registration", {"seed", "threads"}), (QualityLimits, "quality", set())],
)
def test_the_settings_of_preprocessing_are_those_of_the_configuration(kind, section, others):
    assert {field.name for field in fields(kind)} - others == CONFIG["preprocess"][section].keys()


def own_settings(**changes: Any) -> dict[str, Any]:
    shared = dict(CONFIG["pretrain"])
    shared["optimiser"] = shared.pop("optimisers")["robust"]
    own = {"pretraining": "X", "image_set": "X", "channels": ["ncct"], "symmetry": False, "method": "desd", "seed": 1}
    return shared | own | changes


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("precision", "bf16", "'auto', 'float16', 'bfloat16', 'float32'"),
        ("compile", True, "'auto', 'always', 'never'"),
        ("method", "dino", "a class of yours as package.module:Class"),
        ("parent_scale", [1, 0.5], "the first not above the second"),
        ("epochs", 1.5, "a whole number"),
        ("student_temperature", float("nan"), "a number that is finite"),
        ("slab_slices", 8, "below the 16 slices of patch_size"),
        ("samples_per_epoch", 9601, "no multiple of batch_size"),
    ],
)
def test_settings_that_no_workflow_wrote_have_values_that_the_configuration_may_have(key, value, allowed):
    with pytest.raises(InputError, match=rf"settings\.{key}: .*{allowed}"):
        parse_settings(own_settings(**{key: value}))


@pytest.mark.parametrize(("key", "value"), [("compile", "yes"), ("epochs", 0), ("learning_rate", "fast")])
def test_the_same_holds_for_a_finetuning(key, value):
    given = CONFIG["finetune"] | {"epochs": 1}
    assert parse_finetune(given, "settings.yaml").epochs == 1
    with pytest.raises(InputError, match=rf"settings.yaml\.{key}: .* is not allowed; allowed: "):
        parse_finetune(given | {key: value}, "settings.yaml")


def pairs(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield what a schema says of each pair of numbers."""
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from pairs(part)
    two = isinstance(schema, dict) and (schema.get("minItems"), schema.get("maxItems")) == (2, 2)
    if two and schema["items"] != {"type": "string"}:
        yield schema


def test_every_pair_of_numbers_of_the_configuration_must_rise():
    found = list(pairs(load_schema("config")))
    assert len(found) == 4 and all(pair["rising"] for pair in found)
