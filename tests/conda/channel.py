"""A conda channel of one's own, with the two packages that the environments take from conda: Python and pip.

The packages are made of the interpreter that runs this, under its own version. So a wrong pin cannot be solved, and an
environment made from the channel is an environment of the pinned Python. What it cannot show is that the public channel
has the same packages.
"""

import hashlib
import json
import platform
import shutil
import sys
import sysconfig
import tarfile
from importlib.metadata import distribution
from pathlib import Path

SUBDIRECTORY = "linux-64"
BUILD = "0"
LEFT_OUT = {"site-packages", "__pycache__", "test", "idlelib", "tkinter", "ensurepip"}


def make_channel(folder: Path) -> Path:
    """Write the channel into ``folder``, unindexed; return it."""
    target = folder / SUBDIRECTORY
    target.mkdir(parents=True)
    (folder / "noarch").mkdir()
    _package(target, "python", platform.python_version(), _python_files(), [])
    _package(target, "pip", distribution("pip").version, _pip_files(), ["python"])
    return folder


def _python_files() -> dict[str, Path]:
    """Return the files of the running Python's installation, without third-party packages, by their conda path."""
    base, library = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    files = {f"bin/{alias}": base / "bin" / name for alias in ("python", "python3", name)}
    for path in library.rglob("*"):
        inside = path.relative_to(library)
        if path.is_file() and not LEFT_OUT & set(inside.parts):
            files[f"lib/{name}/{inside}"] = path
    return files


def _pip_files() -> dict[str, Path]:
    found = distribution("pip")
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    files = [file for file in found.files or [] if ".." not in file.parts and "__pycache__" not in file.parts]
    return {f"lib/{name}/site-packages/{file}": Path(str(file.locate())) for file in files}


def _package(target: Path, name: str, version: str, files: dict[str, Path], depends: list[str]) -> None:
    """Write a .tar.bz2 package: the files and the two descriptions that an installer reads."""
    index = {
        "name": name,
        "version": version,
        "build": BUILD,
        "build_number": 0,
        "depends": depends,
        "subdir": SUBDIRECTORY,
        "timestamp": 0,
    }
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "size_in_bytes": source.stat().st_size,
        }
        for path, source in files.items()
    ]
    staging = target / name
    (staging / "info").mkdir(parents=True)
    (staging / "info" / "index.json").write_text(json.dumps(index))
    (staging / "info" / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    (staging / "info" / "files").write_text("".join(f"{path}\n" for path in files))
    with tarfile.open(target / f"{name}-{version}-{BUILD}.tar.bz2", "w:bz2", compresslevel=1) as archive:
        archive.add(staging / "info", "info")
        for path, source in files.items():
            archive.add(source.resolve(), path)
    shutil.rmtree(staging)
