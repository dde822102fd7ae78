"""What a paper needs to publish of a study, in one file: models, tables, settings, environment, digest; no patient.

Models are those that ``export_<arm>`` wrote. Tables of single cases stay out, and so does every text in which a name of
the case sheet stands. Run by hand: `make archive`.
"""

import argparse
import io
import logging
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, replacing

log = logging.getLogger(__name__)

TABLES = (
    "evaluate/*summary.tsv",
    "evaluate/*comparisons.tsv",
    "evaluate/*agreement.tsv",
    "evaluate/ranks.tsv",
    "evaluate/variance.tsv",
    "evaluate/subgroups.tsv",
    "evaluate/label_curve.tsv",
    "evaluate/label_savings.tsv",
    "evaluate/test_looks.tsv",
    "split/balance.tsv",
    "report/tables/*",
    "finetune/*/settings.yaml",
    "pretrain/*/settings.yaml",
    "pretrain/*/probe.tsv",
)
ENVIRONMENT = ("requirements.txt", "config.yaml", "envs/*.yaml")
TEXT = {".tsv", ".json", ".yaml", ".md", ".txt", ".tex", ".html"}
COUNT = re.compile(r"0|[1-9]\d{0,4}")  # as a table may hold it: no sign of a patient who is called so
WORD = re.compile(r"\d+\.\d+|[A-Za-z0-9-]+")  # the digits of a decimal number are no names


def contents(results: Path, model: Path, repository: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of an archive and their names in it.

    ``results`` is the folder of a study, ``model`` that of its exported models, ``repository`` that of the workflow.
    """
    for folder, patterns in ((results, TABLES), (repository, ENVIRONMENT)):
        for pattern in patterns:
            for path in sorted(folder.glob(pattern)):
                yield path, f"{'study' if folder == results else 'workflow'}/{path.relative_to(folder)}"
    for path in sorted(model.rglob("*")):
        if path.is_file():
            yield path, f"models/{path.relative_to(model)}"


def named(text: str, names: Sequence[str]) -> str | None:
    """Return the first of ``names`` that stands in a text as a word of its own, or None."""
    words = set(WORD.findall(text))
    return next((name for name in names if name in words), None)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the archive; a text that names a patient or case is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder `outdir` of the study")
    parser.add_argument("--sheet", type=Path, required=True, help="case sheet, whose names must not occur")
    parser.add_argument("--digest", type=Path, required=True, help="table of `make digest`; its first row is kept")
    parser.add_argument("--repository", type=Path, default=Path(), help="folder of the workflow")
    parser.add_argument("--out", type=Path, required=True, help="archive to write, .tar.gz")
    arguments = parser.parse_args(argv)
    given = {(row[key] or "").strip() for row in read_tsv(arguments.sheet) for key in ("patient", "case")}
    names = sorted(name for name in given if not COUNT.fullmatch(name))
    files = list(contents(arguments.results, arguments.results / "models", arguments.repository))
    if not files:
        raise InputError(f"There is nothing to publish below {arguments.results}.", "run the study first.")
    for path, _ in files:
        if path.suffix in TEXT and named(path.read_text("utf-8"), names):
            raise InputError(
                f"{path} has a patient or case of the sheet in it.", "leave this file out, or report this."
            )
    with replacing(arguments.out) as temporary, tarfile.open(temporary, "w:gz") as archive:
        for path, name in files:
            archive.add(path, name, filter=_anonymous)
        (whole,) = (row for row in read_tsv(arguments.digest) if row["file"] == "all")
        content = f"{whole['sha256']}\n".encode()
        member = tarfile.TarInfo("study/sha256.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    log.info("%s: %d files", arguments.out, len(files) + 1)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    run(main)
