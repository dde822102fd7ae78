"""The reporting lists CLAIM 2024 and TRIPOD+AI, filled where the run knows the answer and blank where not.

CLAIM: Tejani AS, et al. Radiol Artif Intell 2024. TRIPOD+AI: Collins GS, et al. BMJ 2024. The topics are worded anew.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.common.files import read_tsv

LISTS = Path(__file__).with_name("checklists.tsv")

Answer = tuple[str, str]


def checklists(answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """Return each list with its items and how many have an answer; an answer is a text and a section of the page.

    An item whose answer the run does not know stays blank: authors fill it in.
    """
    lists: dict[str, list[dict[str, Any]]] = {}
    for row in read_tsv(LISTS):
        text, section = answers.get(row["answer"], ("", ""))
        lists.setdefault(row["list"], []).append({**row, "text": text, "anchor": section})
    return [
        {"name": name, "rows": rows, "filled": sum(bool(row["text"]) for row in rows)} for name, rows in lists.items()
    ]


def answers_of(
    settings: Mapping[str, Any], cohorts: Sequence[Mapping[str, Any]], known: Mapping[str, bool]
) -> dict[str, Answer]:
    """Answer what the settings and the tables of a run tell.

    Parameters
    ----------
    settings
        ``settings.yaml`` of the report
    cohorts
        rows of `cohorts.cohort_rows`
    known
        which parts the page has: clinical, comparisons, interpretation, failures, pretraining, scores
    """
    names = ", ".join(row["cohort"] for row in cohorts)
    cases = sum(row["cases"] for row in cohorts)
    seeds = settings["run"]["seeds"]
    vote = "majority vote" if settings["segment"]["vote"] == "majority" else "mean probability"
    channels = sorted({channel for arm in settings["arms"].values() for channel in arm["channels"]})
    always = {
        "kind": ("Deep learning: nnU-Net, with and without self-supervised pretraining", "methods"),
        "goal": (
            "Segmentation of the final infarct on baseline non-contrast CT; arms that differ in pretraining",
            "brief",
        ),
        "cohorts": (f"{cases} cases of the cohorts {names}", "cohort"),
        "excluded": (
            f"{len(settings['excluded'])} cases excluded by the case sheet, with the reason of each",
            "cohort",
        ),
        "preprocessing": ("Resampling, skull stripping, registration, mirroring, clipping", "methods"),
        "subsets": ("Image sets of the pretrainings and labelled cohorts of the arms", "methods"),
        "missing": (
            "Cases without a lesion mask are not scored; undefined scores are counted and penalised",
            "results",
        ),
        "acquisition": ("Slice distance and thickness, pixels, tilt, as far as the files tell", "acquisition"),
        "partitions": ("By patient, stratified by side, lesion volume and label standard", "methods"),
        "disjoint": ("Patients and images: digests show that none is in two splits", "leakage"),
        "model": ("nnU-Net with patch, batch and features of each arm", "methods"),
        "software": ("Pinned versions", "software"),
        "initial": ("Random by seed, or the encoder of a pretraining", "methods"),
        "training": ("Loss, optimiser, augmentation, epochs and time", "methods"),
        "choice": ("Epoch with the highest moving average of the pseudo-Dice on the validation set", "methods"),
        "ensemble": (f"{len(seeds)} trainings with different seeds, joined by {vote}", "methods"),
        "metrics": ("Dice, HD95, surface Dice, volume difference, lesion-wise detection, Spearman, ICC", "methods"),
        "statistics": ("Signed-rank tests with Holm's correction, intervals of every estimate", "methods"),
        "internal": ("Validation and test splits of the study's cohorts", "results"),
        "flow": ("Diagram of the cases", "flow"),
        "limits": ("What the numbers cannot say", "limits"),
        "details": ("Methods and digests on this page", "software"),
        "channels": (f"Voxels of the channels {', '.join(channels)}", "methods"),
        "prediction": ("Sliding window" + (" with mirroring" if settings["segment"]["mirroring"] else ""), "methods"),
        "imbalance": (
            f"Patches with lesion: share of at least {settings['finetune']['oversample_foreground']:g} of a batch",
            "methods",
        ),
        "output": ("A lesion mask on the grid of the scan", "methods"),
        "updating": ("None: no model was changed after its training", "methods"),
        "balance": ("Patients and lesion volumes of each stratum and split", "balance"),
        "numbers": ("Patients and lesions of each split", "cohort"),
        "specification": ("Architecture, plans and weights are files of the run", "methods"),
        "quality": ("Every image is checked; flags name what is suspicious and leave nothing out", "quality"),
    }
    dependent = {
        "clinical": ("Clinical table by cohort", "clinical"),
        "comparisons": ("The pairs of arms that are compared, by family", "comparisons"),
        "interpretation": ("t-SNE, integrated gradients, probes of the features", "interpretation"),
        "failures": ("The cases with the lowest Dice, and what went wrong", "failures"),
    }
    scored = {
        "results": ("Tables 1–3, B.4, B.5 with intervals", "results"),
        "lesions": ("Sensitivity and F1 for lesions, false lesions a case", "measures"),
        "sensitivity": (
            "Criteria of lesion size, single seeds, order of the arms over bootstrap samples",
            "comparisons",
        ),
    }
    told = always | {name: answer for name, answer in dependent.items() if known[name]}
    return told | (scored if known["scores"] else {})
