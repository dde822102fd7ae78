"""Tilted scans come upright to a voxel, and masks drawn on them follow; docs/accuracy.md has the whole table."""

import pytest

from tests.ingest.dicom_series import Scan
from tests.ingest.tilt import GAPS, measure, values


@pytest.mark.parametrize("tag", [True, False], ids=["tag", "no tag"])
@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("tilt", [-25.0, -10.0, 0.0, 15.0, 25.0])
def test_landmarks_and_lesion_lie_where_they_are(tilt, gaps, tag, tmp_path):
    found = measure(Scan(tilt=tilt, tag=tag, gaps=GAPS[gaps], values=values), tmp_path)
    assert found.voxels <= 1
    assert found.dice >= 0.95
