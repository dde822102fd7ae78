"""With preprocess.keep_heads false, every file that shows a whole head is removed after use; by default none is."""

import re
from pathlib import Path

import pytest
import yaml

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import snakemake

HEADS = {
    *(f"ingest/icoAIS/C1/{name}.nii.gz" for name in ("ncct", "dwi", "adc")),
    *(f"preprocess/icoAIS/C1/{name}.nii.gz" for name in ("resampled_ncct", "resampled_dwi", "resampled_adc")),
    "preprocess/icoAIS/C1/pseudo_t1.nii.gz",
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_sheet(tmp_path / "cases.tsv", ROW)
    for path in ("ncct/image", "dwi.nii.gz", "adc.nii.gz", "lesion.nii.gz"):
        (tmp_path / "C1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "C1" / path).touch()
    return tmp_path


def removed(folder: Path, *arguments: str) -> set[str]:
    said = snakemake(folder, "-n", "all_preprocess", "--cores", "2", *arguments).stdout
    return set(re.findall(r"remove temporary output results/(\S+)", said))


def test_heads_are_removed_where_the_configuration_says_so(study):
    (study / "mine.yaml").write_text(yaml.safe_dump({"preprocess": {"keep_heads": False}}))
    assert removed(study, "--configfile", "mine.yaml") == HEADS


def test_heads_stay_by_default(study):
    assert removed(study) == set()
