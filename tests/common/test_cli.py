"""The frame of the command lines: a user's fault is one line that names the case."""

import logging

import numpy as np
import pytest

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import DATA_STATUS, HOPELESS, InputError


def refuse(_: object) -> None:
    raise InputError("the folder holds no DICOM file.", "correct the path.")


def test_a_users_fault_names_case_problem_and_remedy_without_a_traceback(caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as stop:
        run(refuse, ["--cohort", "AISD", "--case", "A01", "--ncct", "x"])
    assert stop.value.code == DATA_STATUS
    assert caplog.messages == ["Case AISD/A01: the folder holds no DICOM file. Remedy: correct the path."]


def test_our_own_faults_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda _: 1 / 0, [])


def misread(arguments: list[str]) -> None:
    try:
        float(arguments[-1])
    except ValueError as error:
        raise RuntimeError(arguments[-1]) from error


def test_a_fault_where_headers_are_read_keeps_its_place_and_not_its_words(caplog, capfd):
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as stop:
        run(misread, ["--cohort", "AISD", "--case", "A01", "Doe^Jane"], reads_headers=True)
    assert stop.value.code == 1
    (told,) = caplog.messages
    assert told.startswith("Case AISD/A01: RuntimeError")
    assert "in misread" in told
    assert "Doe" not in told + "".join(capfd.readouterr())


def test_a_lack_of_memory_has_a_remedy_in_every_step_and_may_be_tried_again(caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as stop:
        run(lambda _: np.empty(2**50), ["--cohort", "AISD", "--case", "A01"])
    assert stop.value.code == 1 and HOPELESS not in caplog.text
    assert caplog.messages[0].startswith("Case AISD/A01: More memory is needed than this process can get.")


def test_ctrl_c_ends_without_a_traceback_and_with_the_status_to_run_again(caplog):
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit) as stop:
        run(interrupted, [])
    assert stop.value.code == 75
    assert caplog.messages == ["Interrupted."]
