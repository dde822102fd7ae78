"""New patients of a sheet: one load of the model, no fault of one that stops another, nothing made twice."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from workflow_scripts.common.errors import InputError
from workflow_scripts.segment import apply_model
from workflow_scripts.segment.model.batch import Store
from workflow_scripts.segment.patient import workflow
from workflow_scripts.segment.run_networks import run_all
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.models import batches, final_images, networks, patient_files
from workflow_scripts.study.study import Study

SCAN = {"slices": {"missing": [], "lost_at_the_ends": 0}, "series": []}
FAULTS = {"N/B": InputError("The scan is too large.", "crop it."), "N/C": ValueError("secret"), "N/D": MemoryError()}


class Making:
    """Writes a file for each patient but those with a fault."""

    def __init__(self, folder: Path, faults: dict[str, Exception]) -> None:
        self.faults, self.made = faults, []
        self.images = {f"N/{case}": folder / "N" / case for case in "ABCDE"}
        for place in self.images.values():
            place.mkdir(parents=True, exist_ok=True)
            (place / "ncct.nii.gz").write_text(place.name)
        self.store = Store(folder / "store", "a model")

    def __call__(self, images: Path, folder: Path) -> None:
        name = f"N/{images.name}"
        self.made.append(name)
        if name in self.faults:
            raise self.faults[name]
        (folder / "result").write_text(name)

    def run(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        return run_all(self.store, self.images, ["ncct"], self)


def test_a_fault_of_one_patient_is_kept_for_its_own_job_and_stops_no_other(tmp_path):
    making = Making(tmp_path, {name: FAULTS[name] for name in ("N/B", "N/C")})
    made, failed = making.run()
    assert {name: Path(place, "result").read_text() for name, place in made.items()} == {
        name: name for name in ("N/A", "N/D", "N/E")
    }
    assert failed.keys() == {"N/B", "N/C"}
    (tmp_path / "networks.json").write_text(json.dumps({"made": made, "failed": failed}))
    with pytest.raises(InputError, match="too large"):
        apply_model.result_of(tmp_path / "networks.json", "N/B")
    with pytest.raises(InputError, match="ValueError") as told:
        apply_model.result_of(tmp_path / "networks.json", "N/C")
    assert "secret" not in str(told.value)


def test_what_was_made_before_an_interruption_is_not_made_again(tmp_path):
    interrupted = Making(tmp_path, {"N/C": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    again = Making(tmp_path, {})
    made, _ = again.run()
    assert again.made == ["N/C", "N/D", "N/E"]
    assert len(made) == 5


def test_lack_of_memory_fails_the_job_after_the_others_so_that_another_try_may_have_more(tmp_path):
    making = Making(tmp_path, FAULTS)
    with pytest.raises(MemoryError):
        making.run()
    assert making.made[-1] == "N/E"


@pytest.fixture
def study(tmp_path):
    empty = {field.name: None for field in fields(Case)} | {"cohort": "N"}
    cases = tuple(Case(**empty | {"patient": case, "case": case, "ncct": str(tmp_path / case)}) for case in "ABCDE")
    return Study({"outdir": str(tmp_path / "results"), "segment": {"batch_size": 3}}, cases, ())


def test_patients_go_in_parts_through_one_load_of_the_model(study):
    assert [[case.case for case in part] for part in batches(study)] == [["A", "B", "C"], ["D", "E"]]
    study.config["patients"] = ["N/A", "N/C", "N/D", "N/E"]
    assert [[case.case for case in part] for part in batches(study)] == [["A", "C", "D"], ["E"]]
    assert networks(study, "N", "D") == networks(study, "N", "A") != networks(study, "N", "E")


def test_a_broken_scan_stops_no_other_of_its_batch(study, tmp_path, monkeypatch):
    """A workflow of two steps stands for Snakemake: images of each, then masks where a batch has all its images."""
    calls = []

    def write(files) -> None:
        for file in map(Path, files):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def run_workflow(*_):
        study.config["patients"] = yaml.safe_load((tmp_path / workflow.STUDY).read_text())["patients"]
        calls.append(study.config["patients"])
        broken = [name for name in study.config["patients"] if name == "N/B"]
        for part in batches(study):
            for case in part:
                if case.case != "B":
                    write(final_images(study, "N", case.case))
            if all(Path(file).exists() for case in part for file in final_images(study, "N", case.case)):
                write(file for case in part for file in patient_files(study, "N", case.case))
        return [f"{name} is broken" for name in broken]

    monkeypatch.setattr(workflow, "run_workflow", run_workflow)
    monkeypatch.setattr(workflow, "unfinished", lambda _: set())
    (tmp_path / workflow.STUDY).write_text("{}")
    missing, errors = workflow.run_patients(study, [], tmp_path, 0)
    assert [case.case for case in missing] == ["B"]
    assert errors == ["N/B is broken"]
    assert calls == [["N/A", "N/B", "N/C", "N/D", "N/E"], ["N/A", "N/C", "N/D", "N/E"]]


def test_a_failure_of_the_networks_is_tried_again_by_the_next_call(tmp_path):
    kept = {}
    for number, failed in enumerate(({}, {"N/A": ["It failed.", "look."]})):
        kept[number] = tmp_path / f"patients/batch-{number}/networks.json"
        kept[number].parent.mkdir(parents=True)
        kept[number].write_text(json.dumps({"made": {}, "failed": failed}))
    workflow.forget_failures(tmp_path)
    assert [number for number, file in kept.items() if file.exists()] == [0]


def test_a_mask_outside_the_brain_has_a_flag_of_its_own():
    brain = np.zeros((10, 10, 10), np.uint8)
    brain[:5] = 1
    mask = np.zeros_like(brain)
    mask[3:6, 2:4, 5] = 1  # two of six voxels lie outside
    assert apply_model.outside_share(mask, brain) == pytest.approx(1 / 3)
    assert apply_model.outside_share(np.zeros_like(brain), brain) == 0
    case = {"quality": {"flags": []}}
    for share, expected in ((1 / 3, [apply_model.OUTSIDE]), (0.1, []), (0.0, [])):
        assert apply_model.all_flags(SCAN, case, [], share, 0.1) == expected
