"""docs/outputs.md against what a study wrote: every file, every column of a table, every key of a JSON file."""

import json

from tests.outputs_page import described, files, matches

UNLISTED = ("logs/", "benchmarks/", "state/")


def leaves(content, path=""):
    """Yield the dotted path of every value; the entries of a list share the path of the list."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path


def covers(documented: str, leaf: str) -> bool:
    return matches(documented, leaf) or leaf.startswith(f"{documented}.")


def test_every_file_of_a_study_is_listed(demo):
    names = [str(path.relative_to(demo.results)) for path in demo.results.rglob("*") if path.is_file()]
    listed = [pattern for pattern in files() if not pattern.endswith("/")]
    folders = [pattern.rstrip("/") for pattern in files() if pattern.endswith("/")]

    def known(name: str) -> bool:
        parts = name.split("/")
        inside = any(matches(folder, "/".join(parts[:end])) for folder in folders for end in range(1, len(parts)))
        return name.startswith(UNLISTED) or inside or any(matches(pattern, name) for pattern in listed)

    assert [name for name in names if not known(name)] == []


def test_tables_have_the_columns_and_json_files_the_keys_that_are_described(demo):
    needed, allowed = described(optional=False), described()
    for pattern, names in allowed.items():
        found = [path for path in demo.results.rglob("*") if matches(pattern, str(path.relative_to(demo.results)))]
        assert found, pattern
        for path in found:
            text = path.read_text(encoding="utf-8")
            tsv = path.suffix == ".tsv"
            written = text.splitlines()[0].split("\t") if tsv else list(leaves(json.loads(text)))
            assert [name for name in written if not any(covers(each, name) for each in names)] == [], path
            assert [name for name in needed[pattern] if not any(covers(name, each) for each in written)] == [], path
