"""Which files make up "run up to this stage", for the named targets of the workflow."""

from collections.abc import Iterable

from workflow_scripts.study.case_sheet import Case
from workflow_scripts.study.study import Study


def stage_files(study: Study, stage: str) -> list[str]:
    """Return the files that the target ``all_<stage>`` asks for, below the study's output folder.

    Each stage asks only for its own files, and preprocess for the quality pages made from them; what they need comes
    through the rules. A study without cases asks for nothing.
    """
    if not study.cases:
        return []
    out = study.config["outdir"]
    return [f"{out}/{path}" for path in _STAGES[stage](study)]


def cohort_files(study: Study, cohort: str) -> list[str]:
    """Return the final images of a cohort's cases."""
    return [f"{study.config['outdir']}/{path}" for path in _final_images(study.in_cohorts([cohort]))]


def arm_files(study: Study, arm: str) -> list[str]:
    """Return an arm's lesion masks, on the grids of the original scans, and its scores."""
    scores = [f"evaluate/{arm}/scores.tsv"] if study.config["run"]["evaluate"] else []
    return [f"{study.config['outdir']}/{path}" for path in (*_masks(study, arm), *scores)]


def _folder(stage: str, case: Case) -> str:
    return f"{stage}/{case.cohort}/{case.case}"


def _ingest(study: Study) -> list[str]:
    return [
        f"{_folder('ingest', case)}/{image}.nii.gz"
        for case in study.cases
        for image in ("ncct", *case.mri_modality, *(["lesion"] if case.lesion else []))
    ]


def _preprocess(study: Study) -> list[str]:
    pages = [f"report/cases/{cohort}.html" for cohort in dict.fromkeys(case.cohort for case in study.cases)]
    return _final_images(study.cases) + pages


def _final_images(cases: Iterable[Case]) -> list[str]:
    return [
        f"{_folder('preprocess', case)}/{name}"
        for case in cases
        for name in (
            *("ncct.nii.gz", "mirrored.nii.gz", "difference.nii.gz", "case.json"),
            *(f"registered_{modality}.nii.gz" for modality in case.mri_modality),
            *(["lesion.nii.gz"] if case.lesion else []),
        )
    ]


def _split(_: Study) -> list[str]:
    return ["split/splits.tsv", "split/balance.tsv", "split/leakage.json"]


def _pretrain(study: Study) -> list[str]:
    files = ("encoder.pt", "audit.json", *(["probe.tsv"] if study.config["probe"]["attributes"] else []))
    return [f"pretrain/{name}/{file}" for name in study.pretrainings for file in files]


def _finetune(study: Study) -> list[str]:
    return [f"finetune/{arm}/seed-{seed}/checkpoint.pth" for arm in study.arms for seed in study.seeds]


def _segment(study: Study) -> list[str]:
    return [mask for arm in study.arms for mask in _masks(study, arm)]


def _masks(study: Study, arm: str) -> list[str]:
    cases = study.in_cohorts(study.config["run"]["segment"])
    return [f"segment/{arm}/original/{case.cohort}/{case.case}.nii.gz" for case in cases]


def _evaluate(_: Study) -> list[str]:
    return [f"evaluate/{name}.tsv" for name in ("scores", "summary", "comparisons", "agreement")]


def _report(study: Study) -> list[str]:
    return ["report/index.html", *_segment(study)]


_STAGES = {
    "ingest": _ingest,
    "preprocess": _preprocess,
    "split": _split,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "segment": _segment,
    "evaluate": _evaluate,
    "report": _report,
}
