"""The files of each named target of the workflow."""

from collections.abc import Iterable

from workflow_scripts.study import inputs, paths
from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.inputs.naming import RECORD, files_of_cases
from workflow_scripts.study.schemas import StudyError
from workflow_scripts.study.study import Study

NEED_ARMS = ("finetune", "segment", "evaluate", "report")


def stage_files(study: Study, stage: str) -> list[str]:
    """Return the files that the target ``all_<stage>`` asks for, below the study's output folder.

    These are the files of the stage itself, for preprocess with the quality pages; the rules add what they need. A
    study without cases has none. Raises `StudyError` where the stage needs an arm and none can be trained.
    """
    require_arms(study, stage)
    return STAGES[stage](study) if study.cases else []


def require_arms(study: Study, stage: str) -> None:
    """Raise `StudyError` where the stage needs an arm and none can be trained."""
    if stage in NEED_ARMS and study.cases and not study.arms:
        raise StudyError(
            f"all_{stage} is empty: no arm of run.arms can be trained on the cohorts of the case sheet "
            f"({', '.join(study.cohorts)}). all_preprocess and all_split need none. Write an arm for them into a file, "
            "name it in run.arms, and end the call with --configfile and that file (docs/usage.md, Add an arm)."
        )


def stage_of(study: Study, target: str) -> str:
    """Return the stage that a target names, by ``all_<stage>`` or, in a study without arms, by one of its files."""
    if target == "all":
        return "report"
    of_files = () if study.arms or not study.cases else ("evaluate", "report")
    return next((stage for stage in of_files if target in STAGES[stage](study)), target.removeprefix("all_"))


def cohort_files(study: Study, cohort: str) -> list[str]:
    """Return the final images of a cohort's cases."""
    return _final_images(study, study.of_cohort(cohort))


def arm_files(study: Study, arm: str) -> list[str]:
    """Return an arm's lesion masks, on the grids of the original scans, and its scores."""
    return _masks(study, arm) + score_files(study, arm) if study.cases else []


def score_files(study: Study, arm: str) -> list[str]:
    """Return an arm's tables of scores: that of the test set only where the arm is tested."""
    names = ["scores", *(["test_scores"] if arm in study.test_arms else [])] if study.config["run"]["evaluate"] else []
    return [paths.file(study.results, "evaluated", f"{arm}/{name}.tsv") for name in names]


def _ingest(study: Study) -> list[str]:
    return [
        paths.file(study.results, "ingested", f"{image}.nii.gz", cohort=case.cohort, case=case.case)
        for case in study.cases
        for image in ("ncct", *case.mri_modality, *_given_masks(case))
    ]


def _given_masks(case: Case) -> list[str]:
    return [name for name, given in (("lesion", case.lesion), ("brain", case.brain_mask)) if given]


def _preprocess(study: Study) -> list[str]:
    return _final_images(study, study.cases) + inputs.report.cohort_pages(study)


def _final_images(study: Study, cases: Iterable[Case]) -> list[str]:
    if study.case_jobs:
        return files_of_cases(study, "preprocessed", [RECORD], cases)
    return [
        paths.file(study.results, "preprocessed", name, cohort=case.cohort, case=case.case)
        for case in cases
        for name in (
            *("ncct.nii.gz", "mirrored.nii.gz", "difference.nii.gz", "case.json"),
            *(f"registered_{modality}.nii.gz" for modality in case.mri_modality),
            *(["lesion.nii.gz"] if case.lesion else []),
        )
    ]


def _split(study: Study) -> list[str]:
    return [paths.file(study.results, "split", name) for name in ("splits.tsv", "balance.tsv", "leakage.json")]


def _pretrain(study: Study) -> list[str]:
    files = ("encoder.pt", "audit.json", *(["probe.tsv"] if study.config["probe"]["attributes"] else []))
    return [
        paths.file(study.results, "pretraining", file, pretraining=name)
        for name in study.pretrainings
        for file in files
    ]


def _finetune(study: Study) -> list[str]:
    trainings = [(arm, seed) for arm in study.arms for seed in study.seeds]
    trainings += [(budget, draw) for budget in study.budgets for draw in study.label_draws]
    return [paths.file(study.results, "training", "checkpoint.pth", arm=arm, seed=seed) for arm, seed in trainings]


def _segment(study: Study) -> list[str]:
    return [mask for arm in study.arms for mask in _masks(study, arm)]


def _masks(study: Study, arm: str) -> list[str]:
    return inputs.segment.masks_made(study, arm, "original", study.in_cohorts(study.config["run"]["segment"]))


def _evaluate(study: Study) -> list[str]:
    names = ("scores", "summary", "comparisons", "agreement", "ranks", "variance", "subgroups", "test_looks")
    names += ("label_curve", "label_savings") if study.budgets else ()
    return [paths.file(study.results, "evaluated", f"{name}.tsv") for name in names]


def _report(study: Study) -> list[str]:
    return [paths.file(study.results, "report", "index.html"), *_segment(study)]


STAGES = {
    "ingest": _ingest,
    "preprocess": _preprocess,
    "split": _split,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "segment": _segment,
    "evaluate": _evaluate,
    "report": _report,
}
