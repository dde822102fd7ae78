"""Nothing that is loaded from a file executes code: no pickle, no unsafe YAML, no text that becomes code, no shell."""

import ast
from pathlib import Path

import pytest
import yaml

from tests.workflow import ROOT
from workflow_scripts.study import yaml_files

CODE = sorted((ROOT / "workflow_scripts").rglob("*.py"))
# TorchScript is a program; this one belongs to a package that requirements.txt pins, and no user names it.
EXCEPTIONS = {("workflow_scripts/preprocess/stripping/deepbet.py", "torch.jit.load")}
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "runpy.run_module"),
    *(
        f"{module}.{name}"
        for module in ("pickle", "cPickle", "dill", "cloudpickle", "marshal")
        for name in ("load", "loads")
    ),
    *("pickle.Unpickler", "dill.Unpickler", "joblib.load", "shelve.open", "pd.read_pickle", "pandas.read_pickle"),
    *("torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "torch.serialization.add_safe_globals"),
    *("yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.full_load_all", "yaml.unsafe_load_all"),
}
IMPORTS = {"dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy", "jsonpickle"}
CHOSEN = "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"
SAFE_LOADERS = {"_Loader", "yaml.SafeLoader", "yaml.CSafeLoader", CHOSEN}


def faults(source: str) -> list[str]:
    """Return the calls and imports in a module that would execute what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(names & FORBIDDEN | {name for name in names if name.split(".")[0] in IMPORTS})
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            loader = keywords.get("Loader") or (ast.unparse(node.args[1]) if len(node.args) > 1 else "")
            unsafe = (
                name in FORBIDDEN
                or (name == "torch.load" and keywords.get("weights_only") != "True")
                or (name == "yaml.load" and loader not in SAFE_LOADERS)
                or keywords.get("allow_pickle", "False") != "False"
                or keywords.get("shell", "False") != "False"
            )
            found += [name] if unsafe else []
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT / "workflow_scripts")))
def test_no_module_executes_what_a_file_holds(path: Path):
    name = str(path.relative_to(ROOT))
    assert [found for found in faults(path.read_text(encoding="utf-8")) if (name, found) not in EXCEPTIONS] == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pickle.loads(content)",
        "from pickle import load",
        "import joblib",
        "yaml.load(text, yaml.Loader)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_such_a_line_would_be_found(line):
    assert faults(line)


def test_our_loader_of_yaml_is_a_safe_one():
    with pytest.raises(yaml.YAMLError):
        yaml.load("!!python/object/apply:os.getcwd []", yaml_files._Loader)
