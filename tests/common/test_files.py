"""Files are whole or not there, and what a killed process has left goes with the next try."""

import os
import signal

import pytest

from workflow_scripts.common.files import replacing, replacing_entries, replacing_folder

WRITERS = {"file": replacing, "folder": replacing_folder, "entries": replacing_entries}


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
