"""Files are whole or not there, and what a killed process has left goes with the next try."""

import os
import signal
import subprocess
import sys

import pytest

from tests.workflow import ROOT
from workflow_scripts.common.files import replacing, replacing_entries, replacing_folder

WRITERS = {"file": replacing, "folder": replacing_folder, "entries": replacing_entries}


WRITES = "import sys; from workflow_scripts.common.files import write_text; write_text(sys.argv[1], '')"


def write(writer, path, stop=lambda: None):
    with writer(path) as temporary:
        (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
        stop()


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_the_next_try_removes_what_a_killed_process_left(tmp_path, writer):
    path = tmp_path / "image[1].nii.gz"
    child = os.fork()
    if not child:
        write(writer, path, lambda: os.kill(os.getpid(), signal.SIGKILL))
    os.waitpid(child, 0)
    assert list(tmp_path.rglob(".partial-*"))
    write(writer, path)
    assert path.exists() and not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_what_a_living_process_writes_is_left_to_it(tmp_path, writer):
    path = tmp_path / "image.nii.gz"
    write(writer, path, lambda: write(writer, path))
    assert path.exists() and not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize(("umask", "rights"), [(0o077, 0o600), (0o027, 0o640), (0o002, 0o664)])
def test_a_file_has_the_rights_that_the_user_leaves(tmp_path, umask, rights):
    subprocess.run([sys.executable, "-c", WRITES, tmp_path / "a.txt"], cwd=ROOT, umask=umask, check=True)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == rights
