"""A folder that one process works in at a time."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager

import pytest

from workflow_scripts.common import claims
from workflow_scripts.common.claims import CLAIM, Claim

PATIENCE_S = 30
FORK = multiprocessing.get_context("fork")


@contextmanager
def holder(folder):
    """A process that works in a folder until it is killed; yields its number."""
    listening, telling = FORK.Pipe(duplex=False)

    def work():
        with Claim(folder) as claim:
            telling.send(claim.take())
            signal.pause()

    process = FORK.Process(target=work)
    process.start()
    try:
        assert listening.poll(PATIENCE_S) and listening.recv() == ""
        yield process
    finally:
        process.kill()
        process.join()


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(claims, "SETTLE_S", 0)


@pytest.fixture
def of_another_machine(monkeypatch):
    """Claims of processes that are started after it come from another machine."""
    monkeypatch.setattr(claims, "_kernel", lambda: "other")
    monkeypatch.setattr(claims.platform, "node", lambda: "node9")


def written(folder, **values):
    record = {"process": 7, "host": "node9", "job": None, "since": "then", "kernel": "other", "namespace": "pid:[1]"}
    (folder / CLAIM).write_text(json.dumps(record | values))


@pytest.mark.parametrize("locks", [True, False])
def test_who_works_in_a_folder_is_named_with_the_remedy_and_a_killed_one_blocks_no_one(tmp_path, request, locks):
    if not locks:
        request.getfixturevalue("no_locks")
    with holder(tmp_path / "state") as process, Claim(tmp_path / "state") as second:
        told = second.take()
        assert f"process {process.pid} on {claims.platform.node()}, since 2" in told
        assert f"works in {tmp_path / 'state'}" in told and f"To end it now: kill {process.pid}, on " in told
        process.kill()
        process.join()
        assert second.take() == ""


@pytest.mark.parametrize("locks", [True, False])
def test_a_folder_is_free_when_the_work_has_ended_though_a_process_forked_meanwhile_lives(tmp_path, request, locks):
    if not locks:
        request.getfixturevalue("no_locks")
    child = FORK.Process(target=signal.pause)
    with Claim(tmp_path) as first:
        assert first.take() == ""
        child.start()
    with Claim(tmp_path) as second:
        assert second.take() == ""
        child.kill()
        child.join()
    assert (tmp_path / CLAIM).read_text() == ""


def test_the_slurm_job_to_cancel_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with holder(tmp_path), Claim(tmp_path) as second:
        assert second.take().endswith("or scancel 4711.")


@pytest.mark.parametrize("locks", [True, False])
def test_one_of_another_machine_is_waited_for_until_it_is_silent(tmp_path, request, monkeypatch, locks):
    """Locks of some file systems do not reach other machines."""
    if not locks:
        request.getfixturevalue("no_locks")
    now = [1000.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    written(tmp_path)
    with Claim(tmp_path) as claim:
        for beats in range(3):
            written(tmp_path, beats=beats)
            assert "process 7 on node9" in claim.take()
            now[0] += claims.SILENCE_S - 1
        assert claim.take()
        now[0] += 2
        assert claim.take() == ""


@pytest.mark.usefixtures("no_locks")
def test_who_works_writes_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.01)
    with holder(tmp_path):
        found, deadline = set(), time.monotonic() + PATIENCE_S
        while len(found) < 3 and time.monotonic() < deadline:
            found.add((tmp_path / CLAIM).read_text())
    assert len(found) == 3


@pytest.mark.usefixtures("no_locks")
def test_of_two_that_begin_at_once_one_works(tmp_path, monkeypatch):
    monkeypatch.setattr(claims.time, "sleep", lambda _: written(tmp_path))
    with Claim(tmp_path) as claim:
        assert "process 7 on node9" in claim.take()


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', '{"process": "x"}', "\x00\xff"])
def test_a_damaged_record_is_no_obstacle_for_long(tmp_path, monkeypatch, content):
    now = [1000.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    (tmp_path / CLAIM).write_text(content)
    with Claim(tmp_path) as claim:
        assert "process" in claim.take()
        now[0] += claims.SILENCE_S + 1
        assert claim.take() == ""


def test_a_process_of_another_user_lives(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert claims._runs({"process": 1, "namespace": claims._namespace()})


def test_a_full_disk_ends_no_training(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.001)
    with Claim(tmp_path) as claim:
        assert claim.take() == ""
        refused = []

        def refuse(*_):
            refused.append(1)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwrite", refuse)
        deadline = time.monotonic() + PATIENCE_S
        while len(refused) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claim._beating.is_alive()
