"""Whether masks hold a lesion is known when the sheet is read, for every form in which nibabel writes one."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.bad_input.study import load, write_masked
from workflow_scripts.study.lesion_voxels import has_lesion
from workflow_scripts.study.schemas import StudyError

TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64)


def mask(path: Path, value: float, dtype: type = np.uint8, order: str = "<") -> str:
    data = np.zeros((60, 50, 40), dtype)
    data[30, 20, 39] = value
    nib.save(nib.Nifti1Image(data, np.eye(4), nib.Nifti1Header(endianness=order), dtype=dtype), path)
    return str(path)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "NII.GZ"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", TYPES)
def test_a_voxel_of_a_label_is_found_and_none_is_told(dtype, order, suffix, tmp_path):
    full, empty = mask(tmp_path / f"a.{suffix}", 2, dtype, order), mask(tmp_path / f"b.{suffix}", 0, dtype, order)
    assert has_lesion(full, ()) and has_lesion(full, (1, 2))
    assert not has_lesion(full, (1,))
    assert not has_lesion(empty, ()) and not has_lesion(empty, (1,))


def test_what_cannot_be_told_is_left_to_the_ingest_of_the_mask(tmp_path):
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(Path(mask(tmp_path / "a.nii.gz", 0)).read_bytes()[:100])
    scaled = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    scaled.header.set_slope_inter(1, 5)
    nib.save(scaled, tmp_path / "scaled.nii")
    (tmp_path / "text.nii").write_text("no image " * 99)
    for name in ("cut.nii.gz", "scaled.nii", "text.nii", "gone.nii"):
        assert has_lesion(str(tmp_path / name), ()), name


@pytest.mark.parametrize(
    ("voxels", "complaint"),
    [
        ([0, 0, 0, 0], "0 of 4 lesion masks hold a lesion, and among these no patient has a lesion mask"),
        ([0, 1, 0, 0], "1 of 4 lesion masks hold a lesion, and among these only one patient has a lesion mask"),
        ([0, 1, 0, 1], None),
    ],
)
def test_an_arm_without_a_lesion_stops_before_anything_runs(voxels, complaint, tmp_path):
    write_masked(tmp_path, voxels)
    load(tmp_path, check_paths=False)
    if complaint is None:
        load(tmp_path, check_paths=True)
    else:
        with pytest.raises(StudyError, match=complaint):
            load(tmp_path, check_paths=True)
