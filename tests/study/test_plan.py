"""A plan of jobs whose best order is known by hand, and of a call of Snakemake."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.workflow import ROOT, demo_arguments, job_counts, snakemake
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv
from workflow_scripts.study.plan import picture_of, plan, rows_of, told
from workflow_scripts.study.planning.cluster import Cluster, Partition
from workflow_scripts.study.planning.costs import Costs, Measured, measured, write_costs
from workflow_scripts.study.planning.jobs import Job
from workflow_scripts.study.planning.simulate import critical_path
from workflow_scripts.study.schemas import StudyError

MIB = 2**20


def job(number, name, *needs, **asked):
    """A job whose output has the number of the job, and which reads those of others."""
    inputs = tuple(f"out/{need}" for need in needs)
    return Job(number, name, inputs, (f"out/{number}",), f"out/benchmarks/{name}.tsv", **asked)


def costs_of(**seconds):
    """Costs of rules in seconds; an output takes 1 MiB."""
    return Costs([[Measured(name.replace("_", "/"), 1, float(s), outputs_mb=(1.0,)) for name, s in seconds.items()]])


def machine(**partition):
    return Cluster({"m": Partition(**{"cores": 2, "mem_mb": 1000} | partition)})


def hours(seconds):
    return pytest.approx(seconds / 3600)


def test_two_cores_run_two_chains_side_by_side_and_what_gathers_them_after_both():
    jobs = [job(0, "a/x/1"), job(1, "a/x/2"), job(2, "b/y/1", 0), job(3, "b/y/2", 1), job(4, "c/z", 2, 3)]
    found = plan(jobs, costs_of(a_x=10, b_y=5, c_z=1), machine())
    assert found.totals["wall_hours"] == hours(16)
    assert found.totals["core_hours"] == hours(31)
    assert plan(jobs, costs_of(a_x=10, b_y=5, c_z=1), machine(cores=1)).totals["wall_hours"] == hours(31)
    assert [row["stage"] for row in rows_of(found)] == ["a", "b", "c"]


@pytest.mark.parametrize("scarce", [{"mem_mb": 600}, {"cores": 3}, {"gpus": 1}])
def test_two_jobs_that_do_not_fit_together_run_one_after_the_other(scarce):
    cluster = machine(**{"cores": 8, "gpus": 2} | scarce)
    jobs = [job(n, f"a/x/{n}", threads=2, mem_mb=400, gpus=1) for n in range(2)]
    found = plan(jobs, costs_of(a_x=10), cluster)
    assert found.totals["wall_hours"] == hours(20)
    assert found.totals["gpu_hours"] == hours(20)
    assert plan(jobs, costs_of(a_x=10), machine(cores=8, gpus=2)).totals["wall_hours"] == hours(10)


def test_no_more_jobs_than_allowed_are_in_the_queue_and_each_takes_its_start():
    cluster = Cluster({"m": Partition(8, 1000)}, jobs=2, start_seconds=5)
    assert plan([job(n, f"a/x/{n}") for n in range(4)], costs_of(a_x=10), cluster).totals["wall_hours"] == hours(30)


def test_a_group_is_one_job_that_runs_its_steps_with_the_cores_of_its_widest_layer():
    jobs = [job(0, "a/x/C/1"), job(1, "a/y/C/1"), job(2, "b/z/C/1", 0, 1)]
    together = [Job(**vars(each) | {"group": 0}) for each in jobs] + [job(3, "c/w", 2)]
    cluster = Cluster({"m": Partition(8, 1000)}, start_seconds=5, step_seconds=1)
    found = plan(together, costs_of(a_x=10, a_y=4, b_z=3, c_w=2), cluster)
    case, end = found.tasks.tasks
    assert (case.cores, case.seconds, end.needs) == (2, 5 + 11 + 4, {0})
    assert found.totals["submitted"] == 2 and found.totals["steps"] == 4
    alone = plan(together, costs_of(a_x=10, a_y=4, b_z=3, c_w=2), Cluster(cluster.partitions, cores_per_job=1))
    assert alone.tasks.tasks[0].seconds == 17


def test_a_job_goes_where_it_asks_for_else_where_it_fits_and_keeps_away_from_gpus():
    cluster = Cluster({"gpu": Partition(8, 1000, 1), "cpu": Partition(8, 500), "other": Partition(8, 500)})
    asked = [{}, {"gpus": 1}, {"mem_mb": 800}, {"partition": "other"}, {"partition": "elsewhere"}]
    jobs = [job(n, f"a/x/{n}", **each) for n, each in enumerate(asked)]
    tasks = plan(jobs, costs_of(a_x=1), cluster).tasks.tasks
    assert [task.partition for task in tasks] == ["cpu", "gpu", "gpu", "other", "cpu"]
    with pytest.raises(StudyError, match="a/x/0 asks for 1 cores, 0 MB and 2 GPUs"):
        plan([job(0, "a/x/0", gpus=2)], costs_of(a_x=1), cluster)


def test_what_waits_for_room_is_on_the_critical_path_with_its_wait():
    jobs = [job(0, "a/x/1"), job(1, "a/x/2"), job(2, "b/y", 1)]
    found = plan(jobs, costs_of(a_x=10, b_y=5), machine(cores=1))
    path = critical_path(found.tasks.tasks, found.times)
    assert [found.tasks.tasks[place].name for place in path] == ["a/x/2", "b/y"]
    assert found.times[1] == type(found.times[1])(0, 10, 20)
    picture = ElementTree.fromstring(picture_of(found))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a", "b", "a/x/2", "b/y"} <= set(texts)


def test_a_temporary_file_takes_no_room_after_its_last_reader():
    jobs = [job(0, "a/x"), job(1, "b/y/1", 0), job(2, "b/y/2", 0, 1), job(3, "c/z", 2)]
    kept = plan(jobs, costs_of(a_x=1, b_y=1, c_z=1), machine()).totals["peak_disk_gb"]
    temporary = [Job(**vars(each) | {"temporary": frozenset(each.outputs)}) for each in jobs[:1]] + jobs[1:]
    assert kept * 1024 == pytest.approx(4)
    assert plan(temporary, costs_of(a_x=1, b_y=1, c_z=1), machine()).totals["peak_disk_gb"] * 1024 == pytest.approx(3)


def test_what_was_never_measured_costs_what_it_asks_for_and_is_named():
    found = plan([job(0, "a/x/1", minutes=3), Job(1, "all", ("out/0",), ())], Costs([[]]), machine())
    assert found.totals["wall_hours"] == hours(180)
    assert "time that they ask for stands: a/x." in told(found)


def test_a_rule_with_other_outputs_than_before_keeps_their_sum():
    two = Job(0, "a/x/1", (), ("out/0", "out/1"), "b.tsv")
    assert Costs([[Measured("a/x", 1, 1.0, outputs_mb=(3.0, 2.0, 1.0))]]).of(two).outputs_mb == (3.0, 3.0)
    assert not Costs([[Measured("a/x", 1, 1.0)]]).of(two).sized


def test_seconds_over_the_start_grow_with_the_cases_that_a_job_reads():
    rows = [Measured("a/x/small", 10, 12.0)]
    reads = tuple(f"{n}/case.json" for n in range(100))
    large = Job(0, "a/x/large", reads, ("out/0",), "b.tsv")
    assert Costs([rows]).of(large).seconds == pytest.approx(2 + 10 * 10)
    same = Job(0, "a/x/small", reads, ("out/0",), "b.tsv")
    assert Costs([rows]).of(same).seconds == 12


def test_costs_are_written_and_read_and_come_from_benchmark_files_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    jobs = [job(n, f"a/x/{n}") for n in range(3)]
    (tmp_path / "out/benchmarks/a/x").mkdir(parents=True)
    for n in range(2):
        (tmp_path / f"out/benchmarks/a/x/{n}.tsv").write_text(header + f"{4 + 2 * n}\t\t100\t\t\t\t\t\t\tNA\n")
        (tmp_path / f"out/{n}").write_bytes(bytes(MIB * (n + 1)))
    write_costs(tmp_path / "all.tsv", measured(jobs))
    write_costs(tmp_path / "means.tsv", [Measured("a/x", 1, 5.0, outputs_mb=(1.5,))])
    for name, exact in (("all.tsv", 4), ("means.tsv", 5), ("out/benchmarks", 4)):
        costs = Costs.read([tmp_path / name, tmp_path / "means.tsv"])
        assert costs.of(jobs[0]).seconds == exact
        assert costs.of(jobs[2]).seconds == 5
        assert costs.of(jobs[2]).outputs_mb == pytest.approx([1.5], rel=0.02)


@pytest.mark.parametrize("content", ["a\n1\n", "name\tseconds\na\tb\n", "{}"])
def test_other_costs_are_refused(tmp_path, content):
    path = tmp_path / "costs.tsv"
    with pytest.raises(InputError, match="does not exist"):
        Costs.read([path])
    path.write_text(content)
    with pytest.raises(InputError, match="neither a table of costs nor a folder"):
        Costs.read([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("jobs: 3", "needed are partitions"),
        ("partitions: {}", "at least one"),
        ("partitions: {a: {cores: 2}}", "needed are cores, mem_mb"),
        ("partitions: {a: {cores: 0, mem_mb: 1}}", "partitions.a, key cores: 0"),
        ("partitions: {a: {cores: 2.5, mem_mb: 1}}", "2.5 is not a whole number"),
        ("partitions: {a: {cores: 2, mem_mb: 1, gpu: 1}}", "keys are cores, gpus, mem_mb"),
        ("partitions: {a: {cores: 2, mem_mb: 1}}\nstart_seconds: -1", "start_seconds: -1"),
        ("partitions: {a: {cores: 2, mem_mb: 1}}\njobs: true", "jobs: True"),
    ],
)
def test_a_wrong_description_of_a_cluster_names_file_and_key(tmp_path, content, message):
    (tmp_path / "cluster.yaml").write_text(content)
    with pytest.raises(StudyError, match=rf"cluster\.yaml.*{message}"):
        Cluster.read(tmp_path / "cluster.yaml")


def test_a_call_is_planned_with_the_jobs_that_snakemake_counts(tmp_path):
    cluster = str(ROOT / "profiles" / "slurm" / "cluster.yaml")
    command = [
        sys.executable,
        "-m",
        "workflow_scripts.study.plan",
        "--cluster",
        cluster,
        "--out",
        str(tmp_path / "plan"),
    ]
    place = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]

    def planned(target):
        call = [*command, "--", target, *place, *demo_arguments()]
        return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)

    target = "results/demo/report/cases/AISD/A01.html"
    result = planned(target)
    assert result.returncode == 0, result.stderr
    count = job_counts(snakemake(tmp_path, "-n", target, *demo_arguments()).stdout)["total"]
    assert count > 5
    assert f"of {count} steps" in result.stdout
    assert sum(int(row["steps"]) for row in read_tsv(tmp_path / "plan" / "plan.tsv")) == count
    # The shipped sizes are of the outputs that the rules have; phantoms are no part of it.
    assert {name.split("/")[0] for name in read_json(tmp_path / "plan" / "plan.json")["unsized"]} <= {"phantom"}
    assert "critical" in (tmp_path / "plan" / "plan.svg").read_text().lower()
    refused = planned("all_prepro")
    assert refused.returncode and "is all_preprocess meant" in refused.stdout + refused.stderr
