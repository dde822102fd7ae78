"""Dry runs: every target and configuration builds its DAG, and asks for what it should and nothing else."""

import re

import pytest
import yaml

from tests.slurm.study import write_profile
from tests.workflow import ROOT, demo_arguments, job_counts, snakemake

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
MRI = {"AISD": "dwi", "APIS": "adc", "icoAIS": "dwi;adc", "CENTER-TBI": ""}


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """A folder with three cases of each cohort of the paper, as empty files."""
    folder = tmp_path_factory.mktemp("paper study")
    rows = []
    for cohort, modalities in MRI.items():
        for case in ("P1", "P2", "P3"):
            images = [image for image in modalities.split(";") if image]
            place = folder / cohort / case
            place.mkdir(parents=True)
            names = ["ncct", *images, *(["lesion"] if images else [])]
            paths = {name: f"{cohort}/{case}/{name}.nii.gz" for name in names}
            for path in paths.values():
                (folder / path).touch()
            space = "" if not images else "ncct" if cohort == "AISD" else "mri"
            mri = ";".join(paths[image] for image in images)
            cells = [cohort, case, case, paths["ncct"], mri, modalities, paths.get("lesion", ""), space]
            rows.append("\t".join([*cells, "", "", "", "", "", ""]))
    header = (ROOT / "cases.tsv").read_text().strip()
    (folder / "cases.tsv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def dry_run(folder, *arguments):
    return job_counts(snakemake(folder, "-n", "--quiet", "rules", *arguments).stdout)


def test_the_papers_study_trains_every_arm_and_pretraining_it_names(paper):
    jobs = dry_run(paper)
    pretrainings = {CONFIG["arms"][arm]["pretraining"] for arm in CONFIG["run"]["arms"]}
    assert jobs["finetune"] == len(CONFIG["run"]["arms"]) * len(CONFIG["run"]["seeds"]) == 39
    assert jobs["pretrain"] == jobs["pretrain_probe"] == len(pretrainings - {None}) == 9
    assert jobs["preprocess_case"] == 12 and jobs["segment_batch"] == 13 * 3
    assert not any(rule.startswith("phantom") for rule in jobs)


@pytest.mark.parametrize(
    ("target", "last", "absent"),
    [
        ("all_ingest", "ingest_ncct", "resample_ncct"),
        ("all_preprocess", "describe_case", "split"),
        ("all_split", "split", "pretrain_dataset"),
        ("all_pretrain", "pretrain", "finetune"),
        ("all_finetune", "finetune", "segment"),
        ("all_segment", "ensemble", "score"),
        ("all_evaluate", "summarise", "index"),
        ("all_report", "index", None),
    ],
)
def test_a_stage_target_runs_up_to_its_stage(tmp_path, target, last, absent):
    jobs = dry_run(tmp_path, *demo_arguments(), target)
    assert last in jobs
    assert absent not in jobs


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("results/demo/preprocess/CENTER-TBI/C01/brain_mask.nii.gz", {"ingest_ncct": 1, "brain_mask": 1}),
        ("results/demo/finetune/FS-STKi/seed-1/checkpoint.pth", {"finetune": 1, "finetune_dataset": 1}),
        ("results/demo/pretrain/ALL-SA/encoder.pt", {"pretrain": 1, "pretrain_dataset": 1}),
        ("results/demo/pretrain/ALL-SA/probe.tsv", {"pretrain": 1, "pretrain_probe": 1, "phantom_attributes": 1}),
        ("results/demo/segment/FS-STKi-D/original/icoAIS/I01.nii.gz", {"finetune": 3, "segment": 3, "ensemble": 1}),
        ("results/demo/segment/FS-STKi/seed-1/icoAIS/I01.probability.nii.gz", {"finetune": 1, "segment": 1}),
        ("results/demo/evaluate/ALL-STKi/scores.tsv", {"pretrain": 1, "finetune": 3, "score": 1}),
        ("labels_FS-STKi", {"finetune": 2, "finetune_subset": 2, "finetune_dataset": 1, "score_labels": 1}),
        ("arm_FS-STKi-labels4", {"finetune": 1, "finetune_subset": 1, "finetune_dataset": 1}),
    ],
)
def test_any_file_is_a_target(tmp_path, file, jobs):
    assert dry_run(tmp_path, *demo_arguments(), file).items() >= jobs.items()


def test_the_test_set_is_scored_for_the_arms_that_are_named_and_no_other(paper):
    jobs = dry_run(paper)
    assert (jobs["score"], jobs["score_test"]) == (len(CONFIG["run"]["arms"]), len(CONFIG["evaluate"]["test_arms"]))
    asked = snakemake(paper, "-n", "results/evaluate/ALL-STKi/test_scores.tsv", check=False)
    assert asked.returncode
    assert "'ALL-STKi' is not scored on the test set: evaluate.test_arms names" in asked.stdout
    for arm, wanted in (("FS-STKi", True), ("ALL-STKi", False)):
        assert ("score_test" in dry_run(paper, "--cores", "1", f"arm_{arm}")) == wanted


def test_arms_on_fewer_labels_are_no_arms_of_the_tables(tmp_path):
    (tmp_path / "none.yaml").write_text("arms: {FS-STKi: {labels: []}, ALL-STKi-SA: {labels: []}}")
    arguments = demo_arguments()
    without = arguments.copy()
    without.insert(2, str(tmp_path / "none.yaml"))
    jobs, fewer = dry_run(tmp_path, *arguments), dry_run(tmp_path, *without)
    trained = {"finetune": 3, "finetune_settings": 3, "finetune_subset": 3, "segment": 60, "score_labels": 2}
    drawn = {"label_efficiency": 1, "figure_labels": 2}
    assert {rule: count - fewer.get(rule, 0) for rule, count in jobs.items() if count != fewer.get(rule)} == {
        **trained,
        **drawn,
        "total": sum([*trained.values(), *drawn.values()]),
    }
    voted = snakemake(
        tmp_path, "-n", *arguments, "results/demo/segment/FS-STKi-labels4/ensemble/icoAIS/I01.nii.gz", check=False
    )
    assert "'FS-STKi-labels4' is 'FS-STKi' on fewer labels" in voted.stdout


@pytest.mark.parametrize(
    "change",
    [
        {"preprocess": {"skull_stripping": {"ncct": "hu", "mri": "none", "cross_check": "none"}}},
        {"run": {"arms": ["FS-STKi"]}, "report": {"best_arms": ["FS-STKi"], "interpreted": []}},
        {"run": {"arms": ["FS-STKi-N"]}, "report": {"best_arms": ["FS-STKi-N"], "interpreted": []}},
        {"run": {"seeds": [0, 1, 2, 3, 4], "segment": ["icoAIS", "CENTER-TBI"]}},
        {"run": {"segment": ["icoAIS", "AISD"], "evaluate": ["icoAIS", "AISD"]}},
        {"pretrain": {"splits": ["train", "validation"]}, "nnunet": {"patch_size": [96, 160, 160]}},
        {"probe": {"attributes": []}},
        {"evaluate": {"test_arms": []}},
    ],
    ids=["classical masks", "one arm", "control arm", "five seeds", "two cohorts", "values", "no probe", "no test"],
)
def test_other_configurations_build_their_dag(paper, tmp_path, change):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(change))
    assert dry_run(paper, "--configfile", str(tmp_path / "mine.yaml"))["index"] == 1


def test_a_fresh_clone_parses_with_the_slurm_profile(tmp_path):
    (tmp_path / "cases.tsv").write_text((ROOT / "cases.tsv").read_text())
    result = snakemake(tmp_path, "-n", "--profile", str(ROOT / "slurm"))
    assert job_counts(result.stdout) == {"all": 1, "total": 1}


def test_what_is_submitted_before_training_is_one_job_a_case_and_a_few(paper):
    local = {"pretrain_settings", "finetune_settings", "all_finetune", "total", "pretrain", "finetune", "weights"}
    local |= {"environment_imaging", "environment_skullstrip"}
    jobs = dry_run(paper, "--cores", "1", "all_finetune")
    others = {rule: count for rule, count in jobs.items() if rule not in local}
    assert others == {
        "preprocess_case": 12,
        "template": 1,
        "split": 1,
        "pretrain_dataset": 6,
        "finetune_dataset": 13,
    }


def test_every_figure_goes_into_the_one_job_of_the_report():
    steps = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())["__variables__"]["report_steps"]
    rules = re.findall(r"^rule (figure_\w+):", (ROOT / "rules" / "report_figures.smk").read_text(), flags=re.MULTILINE)
    assert rules and set(rules) <= set(steps)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, ["slurm_extra=--signal=TERM@120"]),
        ({"account": "stroke", "qos": "long"}, ["slurm_account=stroke", "qos=long"]),
        ({"partition": "cpu", "gpu_partition": "gpu"}, ["slurm_partition=gpu"]),
        ({"gres": "gpu:a100:1"}, ["gres=gpu:a100:1", "gpu=0"]),
        ({"gpu_model": "a100"}, ["gpu=1", "gpu_model=a100"]),
        ({"training_minutes": 720, "warning_seconds": 300}, ["runtime=720", "slurm_extra=--signal=TERM@300"]),
    ],
    ids=["as shipped", "account", "partitions", "gres", "typed GPU", "time limit"],
)
def test_names_of_the_slurm_profile_reach_the_training(paper, tmp_path, names, expected):
    profile = write_profile(tmp_path / "profile", **names)
    arguments = [
        "-n",
        "--profile",
        str(profile),
        "--executor",
        "dryrun",
        "results/finetune/FS-STKi/seed-0/checkpoint.pth",
    ]
    output = snakemake(paper, *arguments).stdout
    block = re.search(r"^rule finetune:$.*?resources: (.*?)$", output, flags=re.MULTILINE | re.DOTALL)
    resources = block[1].split(", ")
    assert set(expected) <= set(resources)


def test_a_pretraining_on_several_nodes_asks_for_the_gpus_of_each(paper, tmp_path):
    profile = write_profile(tmp_path / "profile", gpu_partition="gpu")
    arguments = ["results/pretrain/ALL/encoder.pt", "--config", "resources={pretrain: {nodes: 2, gpu: 4}}"]
    output = snakemake(paper, "-n", "-p", "--profile", str(profile), "--executor", "dryrun", *arguments).stdout
    block = re.search(r"^rule pretrain:$.*?resources: (.*?)$(.*?)^$", output, flags=re.MULTILINE | re.DOTALL)
    assert {"nodes=2", "gres=gpu:4", "gpu=0", "slurm_partition=gpu"} <= set(block[1].split(", "))
    assert "exec srun --overlap --nodes 2 " in output and "--nproc-per-node 4 " in output


def test_every_job_with_a_gpu_goes_to_its_partition_and_no_other(paper, tmp_path):
    profile = write_profile(tmp_path / "profile", partition="cpu", gpu_partition="gpu")
    output = snakemake(paper, "-n", "--profile", str(profile), "--executor", "dryrun").stdout
    jobs = re.findall(r"^rule (\w+):$.*?resources: (.*?)$", output, flags=re.MULTILINE | re.DOTALL)
    with_gpu = {rule for rule, resources in jobs if "gpu=1" in resources.split(", ")}
    assert with_gpu == {rule for rule, resources in jobs if "slurm_partition=gpu" in resources.split(", ")}
    assert with_gpu == {"pretrain", "pretrain_probe", "finetune", "segment_batch", "pretrain_interpret"}


def test_a_wrong_sheet_stops_before_anything_runs(tmp_path):
    row = "\t".join(["icoAIS", "P1", "C1", "nowhere", *[""] * 10])
    (tmp_path / "cases.tsv").write_text((ROOT / "cases.tsv").read_text().strip() + f"\n{row}\n")
    result = snakemake(tmp_path, "-n", check=False)
    assert result.returncode != 0
    assert "cases.tsv, row 2, column ncct: 'nowhere' does not exist" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_wrong_value_stops_before_anything_runs(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"preprocess": {"spacing_mm": 0}}))
    result = snakemake(tmp_path, "-n", "--configfile", str(tmp_path / "mine.yaml"), check=False)
    assert result.returncode != 0
    assert "mine.yaml, key preprocess.spacing_mm: 0 is not allowed" in result.stdout
    assert "Traceback" not in result.stdout


def test_an_own_cohort_is_preprocessed_with_the_shipped_configuration(tmp_path):
    (tmp_path / "scan.nii.gz").touch()
    row = "\t".join(["MINE", "P1", "C1", "scan.nii.gz", *[""] * 10])
    (tmp_path / "cases.tsv").write_text((ROOT / "cases.tsv").read_text().strip() + f"\n{row}\n")
    result = snakemake(tmp_path, "-n", "--quiet", "rules", "--", "all_preprocess")
    assert job_counts(result.stdout)["preprocess_case"] == 1
    assert "Left out: arms.FS-STKi; 'icoAIS' is not a cohort of the case sheet." in result.stdout
    report = snakemake(tmp_path, "-n", check=False)
    assert report.returncode and "no arm of run.arms can be trained" in report.stdout


def test_the_list_of_rules_is_a_menu(tmp_path):
    (tmp_path / "cases.tsv").write_text((ROOT / "profiles/demo/cases.tsv").read_text())
    lines = [
        line
        for line in snakemake(tmp_path, "--list-rules", *demo_arguments()).stdout.splitlines()
        if re.match(r"\w[\w-]*( \(|$)", line)
    ]
    assert len(lines) > 60
    assert [line for line in lines if not re.fullmatch(r"[\w-]+ \(.+\.\)", line)] == []


def test_a_profile_that_cannot_be_found_from_another_folder_is_told(tmp_path):
    call = [*demo_arguments(), "--directory", str(tmp_path), "--profile", "slurm", "-n", "split"]
    assert "a profile is named by its whole path" in snakemake(ROOT, *call, check=False).stdout
