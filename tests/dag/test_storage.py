"""Results may be kept by a storage plugin: jobs read and write copies elsewhere, and scans stay where they are."""

import json
import shutil
from pathlib import Path

import pytest

from tests.bad_input.images import NOISY, saved
from tests.bad_input.study import write_sheet
from tests.workflow import DEMO, demo_arguments, job_counts, snakemake
from workflow_scripts.study.paths import local_folder

CASES = ("C1", "C2", "C3")
FACTS = {"side": "left", "lesion_ml": 9.0}


@pytest.mark.parametrize(
    ("folder", "file", "local"),
    [
        ("results/preprocess", "results/preprocess/A/1/case.json", "results/preprocess"),
        (
            "results/preprocess",
            "scratch/fs/store/results/preprocess/A/1/case.json",
            "scratch/fs/store/results/preprocess",
        ),
        ("/data/results/split", "scratch/s3/data/results/split/splits.tsv", "scratch/s3/data/results/split"),
        ("/data/results/split", "/data/results/split/splits.tsv", "/data/results/split"),
    ],
)
def test_the_folder_of_a_stage_is_where_its_files_are(folder, file, local):
    assert local_folder(folder, ["cases.tsv", file]) == local


# As the plugin for S3 does it: a file's path here is known when the file is named, before wildcards are constrained.
EARLY = """
import snakemake_storage_plugin_fs as fs

class StorageProvider(fs.StorageProvider):
    pass

class StorageObject(fs.StorageObject):
    def __post_init__(self):
        super().__post_init__()
        self.early = fs.StorageObject.local_suffix(self)

    def local_suffix(self):
        return self.early
"""


def test_a_study_has_the_same_jobs_whatever_keeps_its_results(tmp_path):
    package = tmp_path / "snakemake_storage_plugin_early"
    package.mkdir()
    (package / "__init__.py").write_text(EARLY)
    plugin = ["--default-storage-provider", "early", "--default-storage-prefix", "store"]
    arms = ", ".join(f"{arm}: {{labels: []}}" for arm in ("FS-STKi", "ALL-STKi-SA"))
    rows = (DEMO / "cases.tsv").read_text().splitlines(keepends=True)
    few = [row for row in rows[1:] if row.startswith(("icoAIS\tI01", "icoAIS\tI02", "icoAIS\tI03")) or "01\t" in row]
    (tmp_path / "cases.tsv").write_text("".join([rows[0], *few]))
    call = ["-n", "--quiet", "rules", *demo_arguments("cases=cases.tsv", f"arms={{{arms}}}")]
    kept = snakemake(tmp_path, *call, *plugin, variables={"PYTHONPATH": str(tmp_path)}).stdout
    assert "Exception" not in kept
    assert job_counts(kept) == job_counts(snakemake(tmp_path, *call).stdout)


def test_a_scan_is_read_and_patients_are_dealt_through_a_storage_plugin(tmp_path):
    """One step that reads the folder of a stage, and one that reads a scan."""
    if shutil.which("rsync") is None:
        pytest.skip("the plugin copies by rsync, which is not installed")
    rows = [{"cohort": "MINE", "patient": case, "case": case, "ncct": f"{case}.nii.gz"} for case in CASES]
    write_sheet(tmp_path / "cases.tsv", *rows)
    store = tmp_path / "store" / "results"
    for case in CASES:
        saved(NOISY)(tmp_path / f"{case}.nii.gz")
        write_case(store / "preprocess" / "MINE" / case / "case.json", case)
    plugin = [
        "--default-storage-provider",
        "fs",
        "--default-storage-prefix",
        "store",
        "--local-storage-prefix",
        "scratch",
    ]
    shared = ["--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache"]
    for target in ("results/split/splits.tsv", "results/ingest/MINE/C1/ncct.json"):
        snakemake(tmp_path, target, "--cores", "2", *plugin, *shared)
    assert not (tmp_path / "results").exists()
    assert json.loads((store / "ingest/MINE/C1/ncct.json").read_text())
    assert all(case in (store / "split" / "splits.tsv").read_text() for case in CASES)


def write_case(path: Path, case: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"facts": FACTS | {"pixel_digest": case, "final_digest": case}}))
