"""A scan whose files changed has another digest; files that file managers leave change nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow_scripts.study.source_digest import source_digest


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    folder = tmp_path / "scan"
    (folder / "series").mkdir(parents=True)
    for name in ("a", "b", "series/c"):
        (folder / name).write_bytes(b"12345678")
    return folder


def overwrite(path: Path) -> None:
    path.write_bytes(b"87654321")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize(
    "change",
    [
        lambda scan: overwrite(scan / "series" / "c"),
        lambda scan: (scan / "series" / "d").write_bytes(b"1"),
        lambda scan: (scan / "b").unlink(),
        lambda scan: (scan / "b").rename(scan / "e"),
    ],
    ids=["overwritten in a subfolder", "added in a subfolder", "removed", "renamed"],
)
def test_a_changed_scan_has_another_digest(change: Callable[[Path], object], scan):
    before = source_digest(str(scan))
    assert source_digest(str(scan)) == before
    change(scan)
    assert source_digest(str(scan)) != before


def test_stray_files_and_loops_do_not_count(scan):
    before = source_digest(str(scan))
    for name in (".DS_Store", "series/.DS_Store", "Thumbs.db", "desktop.ini"):
        (scan / name).write_bytes(b"1")
    (scan / ".hidden").mkdir()
    (scan / "series" / "loop").symlink_to(scan)
    assert source_digest(str(scan)) == before


def test_a_change_beside_a_broken_link_is_noticed(scan):
    (scan / "0").symlink_to(scan / "nowhere")
    (scan / "series" / "0").symlink_to(scan / "nowhere")
    before = source_digest(str(scan))
    overwrite(scan / "b")
    other = source_digest(str(scan))
    overwrite(scan / "series" / "c")
    assert len({before, other, source_digest(str(scan))}) == 3


def test_a_file_has_a_digest_too_and_a_path_that_is_not_there(scan):
    before = source_digest(str(scan / "a"))
    overwrite(scan / "a")
    assert source_digest(str(scan / "a")) != before
    assert source_digest(str(scan / "gone"))
