"""Where the results of a study lie, written down once.

The rules know these folders as pathvars of Snakemake: ``<preprocessed>/ncct.nii.gz`` in a rule is a file in
``preprocess/{cohort}/{case}`` below the results. Input functions and targets fill in the wildcards with `file`. Scripts
that read many cases get the folder of a stage and find a case in it with `case_folder` and `mask_file`.
"""

from collections.abc import Iterable
from pathlib import Path

FOLDERS = {
    "ingested": "ingest/{cohort}/{case}",
    "preprocessed": "preprocess/{cohort}/{case}",
    "template": "preprocess/template",
    "weights": "preprocess/weights",
    "split": "split",
    "image_set": "pretrain/datasets/{images}",
    "pretraining": "pretrain/{pretraining}",
    "arm": "finetune/{arm}",
    "training": "finetune/{arm}/seed-{seed}",
    "segmented": "segment/{arm}",
    "model": "models/{arm}",
    "patient": "patients/{cohort}/{case}",
    "batch": "patients/batch-{batch}",
    "evaluated": "evaluate",
    "report": "report",
    "truth": "truth",
    "logs": "logs",
    "benchmarks": "benchmarks",
    "state": "state",
}


def pathvars(results: str) -> dict[str, str]:
    """Return the pathvars of the rules: name to folder, wildcards in braces."""
    return {"results": results} | {name: f"{results}/{folder}" for name, folder in FOLDERS.items()}


def file(results: str, folder: str, name: str = "", **wildcards: object) -> str:
    """Return the path of a file, or of the folder itself.

    Parameters
    ----------
    results
        folder of the results, ``outdir`` in the configuration
    folder
        a name in `FOLDERS`
    name
        file below it
    wildcards
        values of the wildcards in the folder

    Examples
    --------
    >>> file("results", "preprocessed", "ncct.nii.gz", cohort="icoAIS", case="I01")
    'results/preprocess/icoAIS/I01/ncct.nii.gz'
    """
    path = f"{results}/{FOLDERS[folder].format(**wildcards)}"
    return f"{path}/{name}" if name else path


def stage_folder(results: str, folder: str) -> str:
    """Return the part of a folder's path before its first wildcard: where a stage keeps all cases.

    Examples
    --------
    >>> stage_folder("results", "preprocessed")
    'results/preprocess'
    """
    return f"{results}/{FOLDERS[folder].split('/{')[0]}"


def local_folder(folder: str, files: Iterable[str]) -> str:
    """Return where a job finds a folder of the results: where those of its ``files`` are that lie in it.

    Examples
    --------
    >>> local_folder("results/preprocess", ["scratch/fs/results/preprocess/icoAIS/I01/case.json"])
    'scratch/fs/results/preprocess'
    """
    inner = folder.strip("/")
    held = next((str(file) for file in files if f"/{inner}/" in f"/{file}"), folder)
    return held[: held.index(inner)] + inner


def local_file(file: str, files: Iterable[str]) -> str:
    """Return where a job finds a file of the results among its ``files``; any other word is returned as it is.

    Examples
    --------
    >>> local_file("results/split/splits.tsv", ["cases.tsv", "scratch/fs/results/split/splits.tsv"])
    'scratch/fs/results/split/splits.tsv'
    >>> local_file("--splits", ["scratch/fs/results/split/splits.tsv"])
    '--splits'
    """
    return next((str(held) for held in files if f"/{held}".endswith(f"/{file.strip('/')}")), file)


def case_folder(stage: Path, cohort: str, case: str) -> Path:
    """Return the folder of a case below the folder of stage ingest or preprocess."""
    return stage / cohort / case


def mask_file(member: Path, cohort: str, case: str) -> Path:
    """Return the lesion mask of a case below the folder of an arm's seed, of its ensemble or of the original grids."""
    return member / cohort / f"{case}.nii.gz"
