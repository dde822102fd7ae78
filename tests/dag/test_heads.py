"""What is removed after use: what only steps of its case read, unless all is kept; heads without `keep_heads`."""

import re
from pathlib import Path

import pytest
import yaml

from tests.bad_input.study import ROW, write_sheet
from tests.workflow import snakemake

MODALITIES = ("dwi", "adc")
SCANS = {f"ingest/icoAIS/C1/{name}.nii.gz" for name in ("ncct", *MODALITIES)}
WHOLE = {
    f"preprocess/icoAIS/C1/{name}.nii.gz"
    for name in ("pseudo_t1", "resampled_ncct", *(f"resampled_{modality}" for modality in MODALITIES))
}
STRIPPED = {
    f"preprocess/icoAIS/C1/{name}.nii.gz"
    for name in ("contralateral", "stripped_ncct", *(f"stripped_{modality}" for modality in MODALITIES))
}


@pytest.mark.parametrize(
    ("keep", "keep_heads", "gone"),
    [
        ("minimal", True, WHOLE | STRIPPED),
        ("minimal", False, SCANS | WHOLE | STRIPPED),
        ("all", True, set()),
        ("all", False, SCANS | WHOLE),
    ],
)
def test_what_is_removed_after_use(tmp_path: Path, keep, keep_heads, gone):
    write_sheet(tmp_path / "cases.tsv", ROW)
    for path in ("ncct/image", "dwi.nii.gz", "adc.nii.gz", "lesion.nii.gz"):
        (tmp_path / "C1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "C1" / path).touch()
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"keep": keep, "jobs": "steps", "preprocess": {"keep_heads": keep_heads}})
    )
    said = snakemake(tmp_path, "-n", "all_preprocess", "--cores", "2", "--configfile", "mine.yaml").stdout
    assert set(re.findall(r"remove temporary output results/(\S+)", said)) == gone
