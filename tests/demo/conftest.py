"""A reduced demo, run once: every rule, few cases, few steps, in a folder whose path has a space."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow import DEMO, copy_workflow, job_counts, snakemake

CASES = {
    "AISD": ["A01", "A02"],
    "APIS": ["P01"],
    "icoAIS": ["I01", "I02", "I03", "I04", "I05", "I06"],
    "CENTER-TBI": ["C01"],
}
OVERRIDES = """
cases: cases.tsv
run: {arms: [FS-STKp, ALL-STKi-SA, ALL-STKi-D], seeds: [0]}
arms: {FS-STKp: {epochs: 1, labels: 3}, ALL-STKi-SA: {epochs: 1, labels: []}, ALL-STKi-D: {epochs: 1}}
label_efficiency: {draws: 1, epochs: null}
pretrain: {epochs: 1, samples_per_epoch: 8, batch_size: 4, validation_samples: 4, rankme_samples: 8,
  teacher_temperature: {warmup_epochs: 0}, optimisers: {robust: {warmup_epochs: 0}}}
finetune: {iterations_per_epoch: 2, validation_iterations: 1}
evaluate: {bootstrap: 100, test_arms: [FS-STKp, ALL-STKi-SA], comparisons: {main: [[FS-STKp, ALL-STKi-SA]]}}
report: {best_arms: [FS-STKp, ALL-STKi-SA], gradient_steps: 2}
"""


@dataclass(frozen=True)
class Demo:
    """A finished run: its working directory, the copy of the workflow that ran, what it printed, each rule's jobs."""

    directory: Path
    workflow: Path
    output: str
    jobs: dict[str, int]

    @property
    def results(self) -> Path:
        return self.directory / "results" / "demo"

    def snakemake(self, *arguments: str, check: bool = True, config: Path | None = None) -> str:
        """Run it again, with one more configuration file over the others where there is one."""
        files = study_arguments() if config is None else study_arguments(str(config))
        return snakemake(self.directory, *arguments, *files, check=check, workflow=self.workflow).stdout


def study_arguments(*more: str) -> list[str]:
    return ["--configfile", str(DEMO / "study.yaml"), "reduced.yaml", *more, "--cores", "2"]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    directory = tmp_path_factory.mktemp("demo run")
    (directory / "reduced.yaml").write_text(OVERRIDES)
    header, *rows = (DEMO / "cases.tsv").read_text().splitlines()
    chosen = [row for row in rows if row.split("\t")[2] in CASES.get(row.split("\t")[0], [])]
    (directory / "cases.tsv").write_text("\n".join([header, *chosen]) + "\n")
    workflow = copy_workflow(tmp_path_factory.mktemp("workflow"))
    output = snakemake(directory, "all", "export_FS-STKp", *study_arguments(), workflow=workflow).stdout
    return Demo(directory, workflow, output, job_counts(output))
