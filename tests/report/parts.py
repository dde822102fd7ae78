"""Everything that the page of the report is made of, from the small study of the tests."""

import re
from pathlib import Path

from PIL import Image

from workflow_scripts.common.files import read_tsv, write_json, write_tsv
from workflow_scripts.report import (
    figure_cohort,
    figure_dice,
    figure_examples,
    figure_failures,
    figure_finetune,
    figure_interpretation,
    figure_labels,
    figure_neighbours,
    figure_pretraining,
    figure_probe,
    figure_qq,
    figure_quality,
    figure_size,
    figure_volumes,
    table,
)
from workflow_scripts.report.tables.reference import beside

# A reference to anything that is not on the page itself or another page of the report.
LINKED = r"(?:\.\./)*(?:index\.html|(?:cases/|segmentations/)?[A-Za-z0-9-]+(?:/[A-Za-z0-9-]+)?\.html)"
OUTSIDE = re.compile(rf"""(?:src|href)\s*=\s*["'](?!data:|#|{LINKED}["'])|https?://|@import|url\(|<script src""")

ROOT = Path(__file__).parents[2]
CAPTIONS = ROOT / "rules" / "captions"
PAPER = Path(table.__file__).parent / "tables" / "paper.tsv"
FIGURES = (
    (figure_cohort, "cohort.svg"),
    (figure_dice, "dice-icoAIS-validation.svg"),
    (figure_size, "size-icoAIS-validation.svg"),
    (figure_volumes, "volumes-icoAIS-validation.svg"),
    (figure_qq, "qq-icoAIS-validation.svg"),
    (figure_labels, "labels-icoAIS-validation.svg"),
    (figure_examples, "examples-icoAIS.png"),
    (figure_failures, "failures-icoAIS.png"),
    (figure_finetune, "finetune.svg"),
    (figure_pretraining, "pretraining.svg"),
    (figure_interpretation, "interpretation-ALL-SA.png"),
    (figure_probe, "probe.svg"),
    (figure_neighbours, "neighbours-ALL-SA.png"),
    (figure_quality, "quality.svg"),
)
STAGES = ("ingest", "preprocess", "split", "pretrain", "finetune", "evaluate")
KINDS = [re.split(r"[-.]", name)[0] for _, name in FIGURES]
PICTURE = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='1200' height='40' id='{}'><rect width='900' height='40'/></svg>"
)


def index_arguments(study, folder: Path) -> list[str]:
    """Tables from the study; one small picture stands for all figures, which have tests of their own."""
    tables = []
    for name, split, criteria in (("table1", "validation", ["all"]), ("table3", "test", ["all", "large"])):
        tables.append(str(folder / f"{name}.tsv"))
        sources = [read_tsv(study.path(f"evaluate/{source}.tsv")) for source in ("summary", "agreement")]
        rows = table.make_table(*sources, ["FS-STKi", "ALL-STKi-SA"], split, criteria, "validation")
        write_tsv(tables[-1], beside(rows, read_tsv(PAPER)), table.COLUMNS)
    for _, name in FIGURES:
        if name.endswith(".png"):
            Image.new("RGB", (1200, 40), "#444").save(folder / name)
        else:
            (folder / name).write_text(PICTURE.format(name))
    counts = {"cases": 9, "patients": 8}
    audit = {"pretraining": "ALL-SA", "splits": ["train"], "gradients": counts, "statistics": counts}
    write_json(folder / "audit.json", audit | {"held_out_patients": 5, "held_out_patients_seen": 0})
    return [
        *("--settings", study.path("report/settings.yaml")),
        *("--audits", str(folder / "audit.json"), "--probes", study.path("pretrain/ALL-SA/probe.tsv")),
        *(word for stage in STAGES for word in (f"--{stage}", study.path(stage))),
        *("--tables", *tables),
        *("--figures", *(str(folder / name) for _, name in FIGURES)),
        *("--captions", *(str(CAPTIONS / f"{kind}.rst") for kind in ("table", *KINDS))),
        *("--requirements", str(ROOT / "requirements.txt")),
    ]
