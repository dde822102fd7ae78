"""What Snakemake asks of conda, answered by py-rattler: versions, settings, ``env create``, ``clean``.

It solves and installs the conda part of an environment file from one channel, which stands for all that the file
names, then has the new environment's own pip install the ``pip:`` section. Installed by `install_stand_in` as a
command ``conda`` beside ``activate``.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rattler
import yaml
from rattler.index import index_fs

VERSION = "24.11.0"
CHANNEL = "TEST_CONDA_CHANNEL"
SPOKEN_FOR = ["conda-forge", "nodefaults"]
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'


def install_stand_in(prefix: Path, channel: Path) -> Path:
    """Write ``bin/conda`` and ``bin/activate`` below ``prefix``; return the folder to put on PATH."""
    asyncio.run(index_fs(channel))
    folder = prefix / "bin"
    folder.mkdir(parents=True)
    command = folder / "conda"
    command.write_text(
        f'#!/bin/sh\nCONDA_PREFIX="{prefix}" {CHANNEL}="{channel}" PYTHONPATH="{Path(__file__).parents[2]}" '
        f'exec "{sys.executable}" -m {__spec__.name} "$@"\n'
    )
    command.chmod(0o755)
    (folder / "activate").write_text(ACTIVATE)
    return folder


def create(file: Path, prefix: Path) -> None:
    """Create the environment of an environment file."""
    wanted = yaml.safe_load(file.read_text())
    if wanted["channels"] != SPOKEN_FOR:
        raise SystemExit(f"channels {wanted['channels']}: this stands for {SPOKEN_FOR} only")
    *conda, pip = wanted["dependencies"]
    specs = [line.replace("=", "==", 1) for line in conda]
    asyncio.run(_install(specs, prefix))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(pip["pip"]) + "\n")
        requirements.flush()
        options = ["--disable-pip-version-check", "--no-input", "--quiet", "-r", requirements.name]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([prefix / "bin" / "python", "-m", "pip", "install", *options], check=True, env=environment)


async def _install(specs: list[str], prefix: Path) -> None:
    channel = rattler.Channel(Path(os.environ[CHANNEL]).as_uri())
    records = await rattler.solve([channel], specs, platforms=["linux-64", "noarch"], virtual_packages=[])
    await rattler.install(records, prefix, cache_dir=package_cache(), show_progress=False)


def package_cache() -> Path:
    """Return the folder of unpacked packages."""
    return Path(os.environ["CONDA_PREFIX"]) / "pkgs"


def main() -> None:
    """Answer one call."""
    parser = argparse.ArgumentParser(prog="conda", description=__doc__)
    parser.add_argument("--version", action="version", version=f"conda {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info").add_argument("--json", action="store_true", required=True)
    config = commands.add_parser("config")
    config.add_argument("--get", choices=["channel_priority"], required=True)
    config.add_argument("--json", action="store_true", required=True)
    creation = commands.add_parser("env").add_subparsers(dest="action", required=True).add_parser("create")
    creation.add_argument("--quiet", action="store_true")
    creation.add_argument("--no-default-packages", action="store_true")
    creation.add_argument("--file", type=Path, required=True)
    creation.add_argument("--prefix", type=Path, required=True)
    cleaning = commands.add_parser("clean")
    for option in ("-y", "--tarballs", "--packages"):
        cleaning.add_argument(option, action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "info":
        json.dump({"conda_prefix": os.environ["CONDA_PREFIX"], "platform": "linux-64"}, sys.stdout)
    elif arguments.command == "config":
        json.dump({"get": {"channel_priority": "strict"}}, sys.stdout)
    elif arguments.command == "clean":
        shutil.rmtree(package_cache(), ignore_errors=True)
    else:
        create(arguments.file, arguments.prefix)


if __name__ == "__main__":
    main()
