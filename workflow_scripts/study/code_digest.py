"""Digest of the code of a rule: changes of the code change it, changes of comments do not."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parents[2]


@cache
def code_digest(module: str) -> str:
    """Return the digest of a module, of all modules of this package that it imports, and of the files that they name.

    Comments, docstrings and layout do not count. A file or folder beside a module counts with its bytes if the module
    names it in a string: templates, parameter maps.

    Parameters
    ----------
    module
        dotted name below the package, for example ``evaluate.score``

    Returns
    -------
    str
        the first 16 hexadecimal digits of a SHA-256
    """
    digest = hashlib.sha256()
    for path in sorted(_closure(_file(f"{PACKAGE}.{module}"))):
        digest.update(f"{path.relative_to(ROOT)}:{_own_digest(path)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(start: Path) -> set[Path]:
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return found


@cache
def _tree(path: Path) -> ast.Module:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


@cache
def _own_digest(path: Path) -> str:
    digest = hashlib.sha256(ast.dump(_tree(path)).encode())
    for file in _named_files(path):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    inside = (name for name in names if name == PACKAGE or name.startswith(f"{PACKAGE}."))
    return tuple(file for name in sorted(inside) if (file := _file(name)) is not None)


def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _named_files(path: Path) -> Iterator[Path]:
    beside = {item.name: item for item in path.parent.iterdir() if item.suffix != ".py" and item.name != "__pycache__"}
    strings = {node.value for node in ast.walk(_tree(path)) if isinstance(node, ast.Constant)}
    for name in sorted(beside.keys() & {text for text in strings if isinstance(text, str)}):
        item = beside[name]
        yield from sorted(file for file in item.rglob("*") if file.is_file()) if item.is_dir() else [item]
