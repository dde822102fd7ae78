"""Cases that a job segments for the jobs of others: made once, taken while nothing changed, left where they fail."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.workflow import ROOT
from workflow_scripts.common.errors import InputError
from workflow_scripts.segment.model.batch import Store, outdated, segment_batch


class Study:
    """Three cases of one image each, whose segmentation is the image's text in capitals."""

    def __init__(self, folder: Path, key: str = "a model") -> None:
        self.folder, self.store, self.made = folder, Store(folder / "store", key), []
        for case in ("A", "B", "C"):
            if not self.image(case).exists():
                self.image(case).write_text(f"image of {case}")

    def image(self, case: str) -> Path:
        return self.folder / f"{case}.txt"

    def make(self, case: str, folder: Path) -> None:
        self.made.append(case)
        if not self.image(case).read_text():
            raise InputError(f"{case} is empty", "fill it")
        (folder / "mask").write_text(self.image(case).read_text().upper())

    def job(self, case: str, *others: str) -> str:
        place = segment_batch(self.store, case, others, lambda one: [self.image(one)], self.make)
        mask = (place / "mask").read_text()
        self.store.forget(case)
        return mask


def test_a_job_makes_its_own_case_first_and_the_others_find_theirs(tmp_path):
    study = Study(tmp_path)
    assert study.job("B", "A", "C") == "IMAGE OF B"
    assert study.made == ["B", "A", "C"]
    assert [study.job(case) for case in ("A", "C")] == ["IMAGE OF A", "IMAGE OF C"]
    assert study.made == ["B", "A", "C"]
    assert not [path for path in (tmp_path / "store").iterdir() if path.is_dir()], "what was taken is not kept"


def test_a_result_of_another_image_or_model_is_not_taken(tmp_path):
    study = Study(tmp_path)
    study.job("A", "B", "C")
    study.image("B").write_text("another image")
    assert study.job("B") == "ANOTHER IMAGE"
    other = Study(tmp_path, key="another model")
    other.job("C")
    assert other.made == ["C"]


def test_a_fault_of_another_case_is_left_to_its_own_job(tmp_path):
    study = Study(tmp_path)
    study.image("B").write_text("")
    assert study.job("A", "B", "C") == "IMAGE OF A"
    assert study.job("C") == "IMAGE OF C"
    with pytest.raises(InputError, match="B is empty"):
        study.job("B", "A")


def test_a_case_that_is_being_made_is_waited_for_and_not_made_twice(tmp_path):
    first, second = Study(tmp_path), Study(tmp_path)
    begun, go_on = Event(), Event()
    plain = first.make

    def slow(case: str, folder: Path) -> None:
        begun.set()
        assert go_on.wait(20)
        plain(case, folder)

    def quick(case: str, folder: Path) -> None:
        Study.make(second, case, folder)
        go_on.set()

    first.make, second.make = slow, quick
    with ThreadPoolExecutor() as pool:
        one = pool.submit(segment_batch, first.store, "B", ["A"], lambda case: [first.image(case)], first.make)
        assert begun.wait(20)
        # The job of A finds B in work, and that of B its own case: it makes C, and waits.
        again = segment_batch(second.store, "B", ["C"], lambda case: [second.image(case)], second.make)
        assert one.result(20) == again
    assert (first.made, second.made) == (["B", "A"], ["C"])


KILLED = """
import sys, time
from pathlib import Path
from workflow_scripts.segment.model.batch import Store, segment_batch

def make(case, folder):
    (folder / "mask").write_text("half")
    if case == "B":
        print("half", flush=True)
        time.sleep(60)

folder = Path(sys.argv[1])
segment_batch(Store(folder / "store", "a model"), "A", ["B"], lambda case: [folder / f"{case}.txt"], make)
"""


def test_a_killed_job_leaves_whole_results_and_no_lock(tmp_path):
    study = Study(tmp_path)
    job = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "half\n"
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert (study.job("A"), study.job("B")) == ("half", "IMAGE OF B")
    assert study.made == ["B"]


def test_what_lacks_or_is_older_than_its_inputs_is_outdated(tmp_path):
    image, mask = tmp_path / "image", tmp_path / "mask"
    assert not outdated([mask], [image]), "its image is not made yet"
    image.touch()
    assert outdated([mask], [image])
    mask.touch()
    os.utime(image, (time.time() - 10, time.time() - 10))
    assert not outdated([mask], [image])
    os.utime(mask, (time.time() - 20, time.time() - 20))
    assert outdated([mask], [image])
