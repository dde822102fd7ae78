"""Scans that are good, on a machine that does not let them be read or their images be written."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bad_input.images import NOISY, saved
from tests.bad_input.kinds import Kind, Make, nifti
from tests.bad_input.scans import SMALL
from tests.ingest.dicom_series import write_series

TOO_SMALL = 16_384  # bytes; the image has some four times as many, compressed or not


@dataclass(frozen=True)
class Surrounding:
    """A ``kind`` of scan, and how its command is wrapped; ``lacks`` says why this machine cannot show it, if so."""

    kind: Kind
    wrap: Callable[[list[str], Path], list[str]]
    lacks: Callable[[], str]


def without_rights(command: list[str], _out: Path) -> list[str]:
    """Root may read and write everything: without these two capabilities it may what its permissions say."""
    if os.geteuid():
        return command
    dropped = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *command]


def with_small_files(command: list[str], _out: Path) -> list[str]:
    return ["prlimit", f"--fsize={TOO_SMALL}", *command]


def with_small_disk(command: list[str], disk: Path) -> list[str]:
    """The disk is there for this command only; what it leaves is printed, since nobody can look afterwards."""
    disk.mkdir()
    script = f'mount -t tmpfs -o size={TOO_SMALL} tmpfs "$0" && {{ "$@"; status=$?; ls -A "$0"; exit $status; }}'
    return ["unshare", "--mount", "sh", "-c", script, str(disk), *command]


def with_small_temporary_disk(command: list[str], out: Path) -> list[str]:
    temporary = out.with_name("temporary")
    return with_small_disk(["env", f"TMPDIR={temporary}", *command], temporary)


def _needs(program: str) -> str:
    return "" if shutil.which(program) else f"{program} of util-linux is absent"


@cache
def _cannot_mount() -> str:
    if _needs("unshare"):
        return _needs("unshare")
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "only root may mount a small disk" if tried.returncode or os.geteuid() else ""


def closed(chosen: Callable[[Path], Path]) -> Make:
    """A good series, of which nobody may read the ``chosen`` file or folder."""

    def make(folder: Path) -> Path:
        write_series(SMALL, folder)
        chosen(folder).chmod(0)
        return folder

    return make


def closed_nifti(path: Path) -> Path:
    saved(NOISY)(path).chmod(0)
    return path


def closed_output(path: Path) -> Path:
    path.with_name("out").mkdir()
    path.with_name("out").chmod(0o500)
    return saved(NOISY)(path)


def good_series(folder: Path) -> Path:
    return write_series(SMALL, folder)


def _rights() -> str:
    return "" if os.geteuid() else _needs("setpriv")


def _prlimit() -> str:
    return _needs("prlimit")


SURROUNDINGS = (
    Surrounding(Kind("folder that may not be read", closed(lambda folder: folder)), without_rights, _rights),
    Surrounding(
        Kind("image that may not be read", closed(lambda folder: min(folder.iterdir()))), without_rights, _rights
    ),
    Surrounding(nifti("NIfTI file that may not be read", closed_nifti), without_rights, _rights),
    Surrounding(nifti("output folder that may not be written", closed_output), without_rights, _rights),
    Surrounding(nifti("no room for the image", saved(NOISY)), with_small_disk, _cannot_mount),
    Surrounding(Kind("no room in TMPDIR", good_series), with_small_temporary_disk, _cannot_mount),
    Surrounding(nifti("image over the limit on file sizes", saved(NOISY)), with_small_files, _prlimit),
    Surrounding(Kind("conversion over the limit on file sizes", good_series), with_small_files, _prlimit),
)
