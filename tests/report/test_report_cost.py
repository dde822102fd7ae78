import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv
from workflow_scripts.report import cost

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_a_rule_is_one_row_whatever_its_wildcards(tmp_path):
    for name, wall, memory, cpu in [("A/1", 2, "100.5", 3.5), ("A/2", 6, "300", 1), ("B/1", 4, "NA", "NA")]:
        path = tmp_path / "benchmarks" / "ingest" / "ingest_ncct" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + f"{wall}\t0:00:02\t{memory}\t1\t1\t1\t0\t0\t50\t{cpu}\n")
    (tmp_path / "benchmarks" / "split").mkdir()
    (tmp_path / "benchmarks" / "split" / "split.tsv").write_text(HEADER + "1\t0:00:01\t-\t-\t-\t-\t-\t-\t-\t-\n")
    cost.main(["--benchmarks", str(tmp_path / "benchmarks"), "--out", str(tmp_path / "cost.tsv")])
    ingest, split = read_tsv(tmp_path / "cost.tsv")
    assert ingest == {
        "stage": "ingest",
        "rule": "ingest_ncct",
        "jobs": "3",
        "wall_s_median": "4",
        "wall_s_max": "6",
        "cpu_s_total": "4.5",
        "memory_mb_max": "300",
    }
    assert (split["rule"], split["memory_mb_max"]) == ("split", "")


def test_a_folder_without_benchmarks_is_refused(tmp_path):
    with pytest.raises(InputError, match="no benchmark below"):
        cost.main(["--benchmarks", str(tmp_path), "--out", str(tmp_path / "cost.tsv")])
