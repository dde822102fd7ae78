"""Provide the published weights of a network: a file that the user gives, or one that is downloaded."""

import argparse
import logging
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import replacing

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60


def download(url: str, path: Path, remedy: str) -> None:
    """Fetch ``url`` into ``path``; raises `InputError`, whose remedy ends with ``remedy``, when that fails."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
            missing = response.length
    except OSError as error:
        raise _not_fetched(url, str(error), remedy) from error
    if missing:
        raise _not_fetched(url, f"the connection ended {missing} bytes early", remedy)


def _not_fetched(url: str, reason: str, remedy: str) -> InputError:
    return InputError(
        f"{url} cannot be downloaded ({reason}).",
        f"download that file on a computer that reaches the address, copy it here and {remedy}",
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True, help="as in the key preprocess.skull_stripping.{network}_weights")
    parser.add_argument("--given", type=Path, help="file that the user has; without it the file is downloaded")
    parser.add_argument("--url", required=True)
    parser.add_argument("--sha256", help="what the file must have; without it any file is taken")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Copy or download the file of one network, check it, and write it under its final name."""
    arguments = _parse(argv)
    key = f"preprocess.skull_stripping.{arguments.network}_weights"
    option = f"--{arguments.network}-weights for a new patient"
    source = str(arguments.given or arguments.url)
    with replacing(arguments.out) as temporary:
        if arguments.given:
            shutil.copyfile(arguments.given, temporary)
        else:
            download(arguments.url, temporary, f"give its path as {key}.path ({option}).")
        found = file_digest(temporary)
        if arguments.sha256 and found != arguments.sha256:
            raise InputError(
                f"{source} has the SHA-256 {found}, not {arguments.sha256}.",
                f"get the file again; or, if a study is to have this one, correct {key}.sha256.",
            )
    log.info("%s: %s, SHA-256 %s", arguments.network, source, found)


if __name__ == "__main__":
    run(main)
