"""Write the report: one page that holds the study's tables and figures, and links to the page of every case."""

import argparse
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from workflow_scripts.common.cli import run
from workflow_scripts.common.files import read_json, read_tsv, read_yaml, write_text
from workflow_scripts.common.vocabulary import members_of
from workflow_scripts.report.drawing.slices import data_uri
from workflow_scripts.report.pages import index_content as content
from workflow_scripts.report.pages.page import render
from workflow_scripts.report.pages.quality import FLAGS, by_concern, explained, read_cases

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


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
        kind = path.stem.split("-")[0]
        group = groups.setdefault(kind, {"caption": captions[kind], "figures": []})
        uri = data_uri(path.read_bytes(), MEDIA_TYPES[path.suffix])
        group["figures"].append({"name": path.stem, "uri": uri})
    return groups


def quality_rows(preprocess: Path, splits: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return facts and quality of all cases with their split, the most alarming first."""
    split = {(row["cohort"], row["case"]): row["split"] for row in splits}
    rows = by_concern(read_cases(preprocess, splits))
    return [row | {"split": split[row["facts"]["cohort"], row["facts"]["case"]]} for row in rows]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="written by rule report_settings")
    parser.add_argument("--split", type=Path, required=True, help="folder of the split stage")
    parser.add_argument("--audits", type=Path, nargs="*", default=[], help="audit.json of each pretraining")
    parser.add_argument("--probes", type=Path, nargs="*", default=[], help="probe.tsv of each pretraining")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/case.json")
    parser.add_argument("--evaluate", type=Path, required=True, help="folder of the evaluate stage")
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--figures", type=Path, nargs="+", required=True)
    parser.add_argument("--captions", type=Path, nargs="+", required=True, help="{kind}.rst, of figures and of table")
    parser.add_argument("--requirements", type=Path, required=True, help="pinned versions")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Read what all stages wrote, write the page."""
    arguments = _parse(argv)
    settings = read_yaml(arguments.settings)
    splits = read_tsv(arguments.split / "splits.tsv")
    summary, comparisons, agreement, ranks, variance = (
        read_tsv(arguments.evaluate / f"{name}.tsv")
        for name in ("summary", "comparisons", "agreement", "ranks", "variance")
    )
    captions = {path.stem: read_caption(path) for path in arguments.captions}
    limit = settings["evaluate"]["min_component_ml"]
    members = members_of(settings["run"]["seeds"])
    page = render(
        "index.html.j2",
        settings=settings,
        cohorts=content.cohort_rows(splits),
        leakage=read_json(arguments.split / "leakage.json"),
        audits=[read_json(path) for path in arguments.audits],
        probes=content.probe_tables([read_tsv(path) for path in arguments.probes]),
        tables=[content.result_table(path.stem, read_tsv(path), limit) for path in arguments.tables],
        table_caption=captions["table"],
        figures=figure_groups(arguments.figures, captions),
        comparisons=content.comparison_families(comparisons, limit),
        agreement=content.agreement_sets(agreement, limit),
        members=members,
        measures=content.measure_sets(summary, limit),
        ranks=content.rank_sets(ranks, limit),
        variance=content.variance_rows(variance, limit),
        member_rows=content.member_rows(summary, members),
        headlines=content.headlines(summary, limit),
        cases=quality_rows(arguments.preprocess, splits),
        flags=explained(list(FLAGS)),
        python=platform.python_version(),
        versions=content.pinned_versions(arguments.requirements.read_text(encoding="utf-8")),
    )
    write_text(arguments.out, page)


if __name__ == "__main__":
    run(main)
