"""The measurements run, with tiny sizes on a CPU; no figure of theirs means anything there."""

import json

from tests.gpu import check


def test_every_measurement_runs(tmp_path):
    assert check.main(["--device", "cpu", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert rows["largest difference of weights after 4 steps, resumed from a saved state"][0] == "0"
    assert float(rows["error of SharedBatchNorm, mean^2 1e+06 times the variance"][0]) < 1e-3
    assert rows["difference of a finetuning's loss in the second epoch, resumed"][0] == "0"
    assert rows["largest difference of probabilities from the CPU's, float16"][0] == "0"
    assert "asked for a GPU" in rows["s until a finetuning without the GPU that it asked for stops"][1]
    assert len(rows) > 30 and (tmp_path / "gpu.md").read_text().count("\n") == len(rows) + 2
