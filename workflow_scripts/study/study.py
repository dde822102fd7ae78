"""The study: the validated configuration and case sheet, as the rules see them.

Every Slurm job parses the workflow again, so this module imports nothing heavy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.study.absent import leave_out_absent
from workflow_scripts.study.case_sheet import Case, load_cases
from workflow_scripts.study.compiler import without_compiler
from workflow_scripts.study.config_files import ConfigFiles
from workflow_scripts.study.label_budgets import Budget, budgets_of
from workflow_scripts.study.references import check_references, require_compiler, require_lesions
from workflow_scripts.study.schemas import StudyError, allowed, first_error, load_schema
from workflow_scripts.study.typed import restore_types

TWO_CHANNELS = "-D"  # after the name of the image set, in the name of its folder of arrays


@dataclass(frozen=True)
class Study:
    """A configuration and its cases; excluded cases are kept apart and are used in the report alone."""

    config: Mapping[str, Any]
    cases: tuple[Case, ...]
    excluded: tuple[Case, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)  # as arms.FS-STKi, and why: `leave_out_absent`

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Case]:
        return {(case.cohort, case.case): case for case in self.cases}

    @cached_property
    def _by_cohort(self) -> dict[str, tuple[Case, ...]]:
        return {cohort: tuple(self.in_cohorts([cohort])) for cohort in self.cohorts}

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {(case.cohort, case.case): i for cases in self._by_cohort.values() for i, case in enumerate(cases)}

    @property
    def arms(self) -> list[str]:
        """Names of the arms to run, in the order of the tables."""
        return list(self.config["run"]["arms"])

    @property
    def test_arms(self) -> list[str]:
        """Names of the arms that are scored on the test set, in the order of the tables."""
        return [arm for arm in self.arms if arm in self.config["evaluate"]["test_arms"]]

    @property
    def seeds(self) -> list[int]:
        """Seeds of each arm's trainings."""
        return list(self.config["run"]["seeds"])

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """Trainings of the arms to run on fewer labelled patients, by their names."""
        found = [budget for arm in self.arms for budget in budgets_of(arm, self.config["arms"][arm])]
        return {budget.name: budget for budget in found}

    @property
    def label_arms(self) -> list[str]:
        """Names of the arms that have budgets, in the order of the tables."""
        return list(dict.fromkeys(budget.arm for budget in self.budgets.values()))

    @property
    def label_draws(self) -> list[int]:
        """Numbers of the draws of patients for each budget, which are the seeds of its trainings too."""
        return list(range(self.config["label_efficiency"]["draws"]))

    @property
    def pretrainings(self) -> list[str]:
        """Names of the pretrainings whose encoder an arm or a figure needs."""
        wanted = [self.arm(arm)["pretraining"] for arm in self.arms] + self.config["report"]["interpreted"]
        return list(dict.fromkeys(name for name in wanted if name))

    @property
    def without_compiler(self) -> dict[str, str]:
        """The value of ``compile`` in the sections whose jobs would find no compiler on a machine like this one."""
        return without_compiler(self.config, {"pretrain": bool(self.pretrainings), "finetune": bool(self.arms)})

    def case(self, cohort: str, case: str) -> Case:
        """Return one case; raises `StudyError`, which names the sheet, when there is none of that name."""
        try:
            return self._by_name[cohort, case]
        except KeyError:
            raise StudyError(f"{self.config['cases']}: no included case {cohort}/{case}.") from None

    def of_cohort(self, cohort: str) -> tuple[Case, ...]:
        """Return the cases of one cohort, in the order of the sheet; none where there is no cohort of that name."""
        return self._by_cohort.get(cohort, ())

    def place(self, case: Case) -> int:
        """Return the place of a case in its cohort, from 0, in the order of the sheet."""
        return self._places[case.cohort, case.case]

    def in_cohorts(self, cohorts: Iterable[str]) -> list[Case]:
        """Return the cases of some cohorts, in the order of the sheet."""
        wanted = set(cohorts)
        return [case for case in self.cases if case.cohort in wanted]

    def labelled(self, cohorts: Iterable[str]) -> list[Case]:
        """Return the cases of some cohorts that have a lesion mask."""
        return [case for case in self.in_cohorts(cohorts) if case.lesion]

    @property
    def case_jobs(self) -> bool:
        """Whether the steps of a case are one job; heads that are removed after use need Snakemake to see each step."""
        return self.config["jobs"] == "cases" and self.config["preprocess"]["keep_heads"]

    @property
    def results(self) -> str:
        """Folder of everything that the workflow writes."""
        return self.config["outdir"]

    @property
    def cohorts(self) -> list[str]:
        """Cohorts of the case sheet, in its order."""
        return list(dict.fromkeys(case.cohort for case in self.cases))

    def arm(self, name: str) -> dict[str, Any]:
        """Return the entry of an arm, or of a budget's arm; raises `StudyError` when there is none of that name."""
        budget = self.budgets.get(name)
        return self._entry("arms", budget.arm if budget else name)

    def require_whole(self, arm: str) -> None:
        """Raise `StudyError` for a budget, where what is asked for is of an arm on all its patients alone."""
        if budget := self.budgets.get(arm):
            raise StudyError(
                f"{arm!r} is {budget.arm!r} on fewer labels: it has the dataset of {budget.arm!r}, and no vote."
            )

    def encoder_training(self, arm: str) -> dict[str, Any] | None:
        """Return how the pretrained encoder of an arm is trained on; None for an arm from scratch."""
        entry = self.arm(arm)
        return {**self.config["finetune"]["encoder"], **entry.get("encoder", {})} if entry["pretraining"] else None

    def pretraining(self, name: str) -> dict[str, Any]:
        """Return the entry of a pretraining; raises `StudyError` when there is none of that name."""
        return self._entry("pretrainings", name)

    def image_set(self, images: str) -> str:
        """Return the image set of a folder of arrays (`images`); raises `StudyError` when there is none."""
        name = images if images in self.config["image_sets"] else images.removesuffix(TWO_CHANNELS)
        self._entry("image_sets", name)
        return name

    def image_set_channels(self, images: str) -> list[str]:
        """Return the channels of a folder of arrays (`images`)."""
        return ["ncct"] if images in self.config["image_sets"] else ["ncct", "difference"]

    def why_left_out(self, name: str) -> str | None:
        """Say why an arm, pretraining or image set of this name is left out; None where it is not."""
        found = (self.left_out.get(f"{section}.{name}") for section in ("arms", "pretrainings", "image_sets"))
        return next(filter(None, found), None)

    def _entry(self, section: str, name: str) -> Any:
        entries = self.config[section]
        if reason := self.left_out.get(f"{section}.{name}"):
            raise StudyError(f"{name!r} of {section} is left out of this study: {reason}.")
        if name not in entries:
            raise StudyError(f"{name!r} is not an entry of {section}; known: {', '.join(entries)}.")
        return entries[name]

    def image_set_cases(self, image_set: str) -> list[Case]:
        """Return the cases that a pretraining on this image set may see, before the split."""
        return self.in_cohorts(self.config["image_sets"][image_set])

    def images(self, pretraining: str) -> str:
        """Return the folder name of the arrays that a pretraining reads: its image set, ``-D`` for two channels."""
        entry = self.pretraining(pretraining)
        return entry["image_set"] + (TWO_CHANNELS if "difference" in entry["channels"] else "")


def load_study(
    config: dict[str, Any],
    config_files: Sequence[Path | str],
    check_paths: bool,
    given: Mapping[str, Any] | None = None,
) -> Study:
    """Validate a merged configuration and read its case sheet.

    Parameters
    ----------
    config
        the merged configuration; text that stands for numbers becomes numbers (`restore_types`), and what names
        cohorts or masks that the sheet lacks is taken out of it (`leave_out_absent`)
    config_files
        the files it was merged from, later ones overriding earlier ones; named in messages
    check_paths
        whether every path of the sheet must exist now, and the lesion masks of each arm hold lesions
    given
        what stands in no file, such as that of --config, by its name in messages

    Raises
    ------
    StudyError
        which names file, row or key, the value given and what is allowed
    """
    files = ConfigFiles.read(config_files, given)
    _validate_config(config, files)
    cases = load_cases(config["cases"], config["cases_root"], check_paths)
    included, excluded = tuple(c for c in cases if not c.exclude), tuple(c for c in cases if c.exclude)
    if not included:
        return Study(config, included, excluded)
    left_out = leave_out_absent(config, included, lambda path: files.are_shipped(config, path))
    study = Study(config, included, excluded, left_out)
    check_references(study, files)
    if check_paths:
        require_lesions(study, files)
        require_compiler(study, files)
    return study


def _validate_config(config: dict[str, Any], files: ConfigFiles) -> None:
    schema = load_schema("config")
    restore_types(config, schema)
    if error := first_error(config, schema):
        raise files.refuse(list(error.absolute_path), allowed(error))
    config["evaluate"]["comparisons"] = config["evaluate"]["comparisons"] or {}
