"""Write the report: one page that holds the study's tables and figures, and links to the page of every case."""

import argparse
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.files import read_json, read_tsv, read_yaml, write_text
from workflow_scripts.common.vocabulary import HELD_OUT, members_of
from workflow_scripts.report.drawing.slices import data_uri, webp_uri
from workflow_scripts.report.pages import cohorts, grids, label_words, methods, words
from workflow_scripts.report.pages import index_content as content
from workflow_scripts.report.pages.checklists import answers_of, checklists
from workflow_scripts.report.pages.flow import SPLIT_NAMES, counted, flow, scored_cases
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import FLAGS, by_concern, explained, read_cases

LABEL_TABLES = ("label_curve", "label_savings")
EVALUATED = ("summary", "comparisons", "agreement", "ranks", "variance", "subgroups")
ACQUIRED = ("acquired_summary", "acquired_comparisons")
# What a figure shows, for who does not see it; the words of its file's name follow.
ALTERNATIVES = {
    "cohort": "Bars of the cases of each cohort and split, and points at the volumes of their lesions",
    "dice": "Box plots of Dice of each arm with a point for every case; the numbers are in the tables of results",
    "size": "Points at the Dice and the reference volume of every case",
    "qq": "Quantiles of the differences of Dice against those of a normal distribution",
    "volumes": "Predicted against reference volumes, and Bland–Altman plots of their differences",
    "labels": "Curves of the mean Dice over the number of labelled patients; the numbers are in the tables below",
    "examples": "Slices of single cases with the reference and the segmentation of each arm",
    "failures": "Slices of the cases with the lowest Dice, each with what went wrong",
    "finetune": "Curves of loss and pseudo-Dice over the epochs of every training",
    "pretraining": "Curves of loss and that of chance, RankMe, and a monitor of collapse, of every pretraining",
    "interpretation": "t-SNE of the cases by the features, and slices of neighbouring cases with their attribution",
    "probe": "Skill with which attributes are read from the features, with intervals; the numbers are in the table",
    "neighbours": "Slices of heads beside those of their nearest neighbours by the features",
    "quality": "Points at the numbers of the preprocessing of every case; the numbers are in the list of cases",
}


def read_caption(path: Path) -> str:
    """Read the caption of a kind of figure or table, which Snakemake's own report shows too.

    In that report a caption starts with the notice. Here the notice is on top of the page, so it is left empty.
    """
    template = jinja2.Template(path.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
    return template.render(snakemake=SimpleNamespace(config={"notice": None})).strip()


def figure_groups(paths: Iterable[Path], captions: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Embed figures by kind, which is the part of the file's name before the first hyphen and names its caption."""
    groups: dict[str, dict[str, Any]] = {}
    for path in paths:
        kind, *of = path.stem.split("-")
        group = groups.setdefault(kind, {"caption": captions[kind], "figures": []})
        uri = webp_uri(path) if path.suffix == ".png" else data_uri(path.read_bytes(), "image/svg+xml")
        alternative = " – ".join(filter(None, (ALTERNATIVES[kind], " ".join(of))))
        group["figures"].append({"name": path.stem, "uri": uri, "alt": f"{alternative}."})
    return groups


def quality_rows(preprocess: Path, splits: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return facts and quality of every case with its split, the most alarming case first."""
    split_of = {(row["cohort"], row["case"]): row["split"] for row in splits}
    return [
        case | {"split": split_of[case["facts"]["cohort"], case["facts"]["case"]]}
        for case in by_concern(read_cases(preprocess, splits))
    ]


def content_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read what all stages wrote and return what the template shows."""
    settings = read_yaml(arguments.settings)
    captions = {path.stem: read_caption(path) for path in arguments.captions}
    figures = figure_groups(arguments.figures, captions)
    cases = quality_rows(arguments.preprocess, read_tsv(arguments.split / "splits.tsv"))
    shown = _cases(arguments, settings, cases) | _training(arguments, settings) | _results(arguments, settings)
    shown |= _labels(arguments, settings)
    known = {
        **{name: bool(shown[name]) for name in ("clinical", "comparisons")},
        **{name: name in figures for name in ("interpretation", "failures")},
        "scores": any(table["blocks"] for table in shown["tables"]),
    }
    tables = [*(arguments.split / f"{name}.tsv" for name in ("splits", "balance"))]
    tables += [
        arguments.settings,
        *(arguments.evaluate / f"{name}.tsv" for name in (*EVALUATED, *ACQUIRED)),
        *arguments.tables,
    ]
    tables += [arguments.evaluate / f"{name}.tsv" for name in LABEL_TABLES if shown["label_curves"]]
    return shown | {
        "settings": settings,
        "confidence": f"{100 * settings['evaluate']['confidence']:g} %",
        "counted": counted,
        "set_names": {split: name.lower() for split, name in SPLIT_NAMES.items()},
        "table_caption": captions["table"],
        "figures": figures,
        "cases": cases,
        "flags": explained(list(FLAGS)),
        "checklists": checklists(answers_of(settings, shown["cohorts"], known)),
        "python": platform.python_version(),
        "versions": content.pinned_versions(arguments.requirements.read_text(encoding="utf-8")),
        "digests": [(f"{path.parent.name}/{path.name}", file_digest(path)) for path in tables],
    }


def _cases(
    arguments: argparse.Namespace, settings: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the page says of the cases: flow, cohorts, acquisition, clinical data, splits, leakage."""
    splits = read_tsv(arguments.split / "splits.tsv")
    summary = read_tsv(arguments.evaluate / "summary.tsv")
    scored = scored_cases(summary, settings["evaluate"]["min_component_ml"])
    records = (
        (row["cohort"], read_json(arguments.ingest / row["cohort"] / row["case"] / "ncct.json")) for row in splits
    )
    clinical = read_tsv(arguments.clinical) if arguments.clinical else []
    return {
        "flow": flow(splits, settings["excluded"], sum(bool(case["quality"]["flags"]) for case in cases), scored),
        "cohorts": cohorts.cohort_rows(splits),
        "acquisition": cohorts.acquisition_rows(records),
        "clinical": cohorts.clinical_rows(clinical, splits),
        "balance": cohorts.balance_groups(read_tsv(arguments.split / "balance.tsv")),
        "leakage": read_json(arguments.split / "leakage.json"),
        "audits": [read_json(path) for path in arguments.audits],
    }


def _training(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of the trainings and of what their encoders learned."""
    return {
        "pretraining_records": methods.pretraining_records(arguments.pretrain, settings["pretrainings"]),
        "arm_records": methods.arm_records(arguments.finetune, settings["arms"], settings["run"]["seeds"]),
        "probes": content.probe_tables([read_tsv(path) for path in arguments.probes]),
    }


def _results(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of the scores."""
    limit, confidence = settings["evaluate"]["min_component_ml"], settings["evaluate"]["confidence"]
    summary, comparisons, agreement, ranks, variance, subgroups = (
        read_tsv(arguments.evaluate / f"{name}.tsv") for name in EVALUATED
    )
    acquired, acquired_comparisons = (read_tsv(arguments.evaluate / f"{name}.tsv") for name in ACQUIRED)
    members, looks = members_of(settings["run"]["seeds"]), read_tsv(arguments.evaluate / "test_looks.tsv")
    return {
        "tables": [content.result_table(path.stem, read_tsv(path), limit) for path in arguments.tables],
        "comparisons": content.comparison_families(comparisons, limit),
        "words": words.paragraphs(comparisons, limit, confidence),
        "agreement": content.agreement_sets(agreement, limit),
        "members": members,
        "measures": content.measure_sets(summary, limit),
        "ranks": content.rank_sets(ranks, limit),
        "grids": grids.grid_sets(summary, acquired, limit),
        "verdicts": grids.verdicts(comparisons, acquired_comparisons),
        "subgroups": content.subgroup_sets(subgroups),
        "subgroup_intervals": sum(bool(row["mean_low"]) for row in subgroups if row["split"] in HELD_OUT),
        "variance": content.variance_rows(variance, limit),
        "member_rows": content.member_rows(summary, members),
        "looks": looks,
        "unseen": [arm for arm in settings["arms"] if arm not in {row["arm"] for row in looks}],
        "headlines": content.headlines(summary, limit),
    }


def _labels(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of labels and of labels saved; nothing where no arm has fewer."""
    if not any(arm.get("labels") for arm in settings["arms"].values()):
        return {"label_curves": [], "label_savings": [], "label_words": []}
    limit, confidence = settings["evaluate"]["min_component_ml"], settings["evaluate"]["confidence"]
    curve, savings = (read_tsv(arguments.evaluate / f"{name}.tsv") for name in LABEL_TABLES)
    return {
        "label_curves": label_words.curve_sets(curve, limit),
        "label_savings": label_words.saving_sets(savings, limit),
        "label_words": label_words.paragraphs(savings, settings["arms"], limit, confidence),
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="settings.yaml of the report")
    for stage in ("ingest", "preprocess", "split", "pretrain", "finetune", "evaluate"):
        parser.add_argument(f"--{stage}", type=Path, required=True, help=f"folder of the {stage} stage")
    parser.add_argument("--audits", type=Path, nargs="*", default=[], help="audit.json of each pretraining")
    parser.add_argument("--probes", type=Path, nargs="*", default=[], help="probe.tsv of each pretraining")
    parser.add_argument("--clinical", type=Path, help="TSV with cohort, case and what is known of the patients")
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--figures", type=Path, nargs="+", required=True)
    parser.add_argument("--captions", type=Path, nargs="+", required=True, help="{kind}.rst, of figures and of table")
    parser.add_argument("--requirements", type=Path, required=True, help="pinned versions")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what all stages wrote, write the page."""
    arguments = _parse(argv)
    write_text(arguments.out, render("index.html.j2", **content_of(arguments)))


if __name__ == "__main__":
    run(main)
