"""A table of results as Markdown and as LaTeX, with the paper's numbers beside ours where there are any."""

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from workflow_scripts.report.tables.reference import REFERENCED, paper_column

# (group, name, column of the table); LaTeX spans a group, Markdown writes it before the name.
PRINTED = (
    ("DSC", "mean", "dsc_mean"),
    ("DSC", "median (IQR)", "dsc_median_iqr"),
    ("HD95 [mm]", "mean", "hd95_mean_mm"),
    ("HD95 [mm]", "median (IQR)", "hd95_median_iqr_mm"),
    ("HD95 [mm]", "undefined", "hd95_undefined"),
    ("HD95 [mm]", "mean, penalised", "hd95_penalised_mean_mm"),
    ("AVD [mL]", "mean", "avd_mean_ml"),
    ("AVD [mL]", "median (IQR)", "avd_median_iqr_ml"),
    ("Corr", "", "corr"),
    ("ICC", "", "icc"),
)
REFERENCE_NOTE = "Paper: values of Seia et al. 2023, {table}, of other trainings; shown for orientation, not compared."

Row = Mapping[str, str]


@dataclass(frozen=True)
class Heading:
    """What stands above a table: its title, the study's notice, the level of its intervals, and names of criteria."""

    title: str
    notice: str | None
    confidence: float
    criterion: Callable[[str], str]

    def sentences(self, rows: Sequence[Row]) -> list[str]:
        """Return the caption: title, what the brackets hold, whose the paper's numbers are, and the notice."""
        said = [f"{self.title}.", f"In brackets: {100 * self.confidence:g} % intervals."]
        said += filter(None, [reference_note(rows), self.notice])
        return said

    def block(self, row: Row) -> str:
        """Name the cases of a block of rows."""
        return f"{row['cohort']}, {row['split']} set, {self.criterion(row['criterion'])}"


def blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Split the rows of a table by cohort and criterion."""
    return [list(members) for _, members in groupby(rows, key=lambda row: (row["cohort"], row["criterion"]))]


def markdown(rows: Sequence[Row], heading: Heading) -> str:
    """Write a table as Markdown, a block after the other; text that means something in Markdown is escaped."""
    referenced = has_reference(rows)
    names = ["Experiment", "n", *(["paper"] if referenced else [])]
    for group, name, column in PRINTED:
        names += [", ".join(filter(None, (group, name))), "paper"][: _width(column, referenced)]
    lines = [escape_markdown(" ".join(heading.sentences(rows)))]
    for block in blocks(rows):
        lines += ["", f"**{escape_markdown(heading.block(block[0]))}**", ""]
        lines += [_line(map(escape_markdown, names)), _line(["---", *["--:"] * (len(names) - 1)])]
        for row in block:
            cells = [row["experiment"], row["n"], *([row[paper_column("n")]] if referenced else [])]
            for *_, column in PRINTED:
                interval = f" [{bounds}]" if (bounds := row.get(f"{column}_interval")) else ""
                cells += [f"{row[column]}{interval}" or "–", *_papers(row, column, referenced)]
            lines.append(_line(map(escape_markdown, cells)))
        lines += [f"\n{escape_markdown(note)}." for note in notes(block)]
    return "\n".join(lines) + "\n"


def latex(rows: Sequence[Row], heading: Heading, label: str) -> str:
    """Write a table as LaTeX for ``\\input``, with booktabs and graphicx; intervals stand under their estimates."""
    referenced = has_reference(rows)
    first = _width("n", referenced)
    groups: dict[str, int] = {}
    for group, _, column in PRINTED:
        groups[group] = groups.get(group, 0) + _width(column, referenced)
    count = 1 + first + sum(groups.values())
    above = [rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}" for group, span in groups.items()]
    named = [("n", "n"), *((name, column) for _, name, column in PRINTED)]
    below = [word for name, column in named for word in (name, "paper")[: _width(column, referenced)]]
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape_latex(' '.join(heading.sentences(rows)))}}}",
        rf"\label{{tab:{label}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (count - 1)}}}",
        r"\toprule",
        rf"{' & ' * first} & {' & '.join(above)} \\",
        _rules(list(groups.values()), first + 2),
        rf"Experiment & {' & '.join(below)} \\",
    ]
    for block in blocks(rows):
        lines += [
            r"\midrule",
            rf"\multicolumn{{{count}}}{{l}}{{\textit{{{escape_latex(heading.block(block[0]))}}}}} \\",
        ]
        lines += [line for row in block for line in _latex_rows(row, referenced)]
    said = [rf"\par {{\footnotesize {escape_latex(note)}.}}" for block in blocks(rows) for note in notes(block)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", *dict.fromkeys(said), r"\end{table*}"]) + "\n"


def notes(rows: Sequence[Row]) -> list[str]:
    """Gather the notes of a block, each once, with the arms it applies to, or without arms where it applies to all."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in filter(None, row["note"].split("; ")):
            said.setdefault(note, []).append(row["experiment"])
    return [note if len(arms) == len(rows) else f"{', '.join(arms)}: {note}" for note, arms in said.items()]


def reference_note(rows: Sequence[Row]) -> str:
    """Say whose the paper's numbers are; empty where there are none."""
    tables = {f"Table {row['paper_table']} (n = {row['paper_n']})": None for row in rows if row["paper_table"]}
    return REFERENCE_NOTE.format(table=" and ".join(tables)) if tables else ""


def has_reference(rows: Sequence[Row]) -> bool:
    """Say whether the paper has a value for any row."""
    return any(row["paper_table"] for row in rows)


def escape_markdown(text: str) -> str:
    """Escape what Markdown and HTML would take for markup."""
    return re.sub(r"([\\`*_|\[\]#~])", r"\\\1", html.escape(text, quote=False)).replace("\n", " ")


LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"−": "$-$", "–": "--", "—": "---", "≤": r"$\leq$", "≥": r"$\geq$", "×": r"$\times$", "\n": " "},
}


def escape_latex(text: str) -> str:
    """Escape what LaTeX would take for a command, and write signs that its default fonts lack."""
    return "".join(LATEX.get(character, character) for character in text)


def _latex_rows(row: Row, referenced: bool) -> list[str]:
    """Return the line of the estimates, and that of their intervals where there is any."""
    upper, lower = [row["experiment"]], [""]
    for *_, column in (("n",), *PRINTED):
        interval = row.get(f"{column}_interval", "")
        upper += [row[column] or "–", *_papers(row, column, referenced)]
        lower += [rf"\scriptsize [{escape_latex(interval)}]" if interval else "", ""][: _width(column, referenced)]
    first = rf"{' & '.join(map(escape_latex, upper))} \\"
    return [first, rf"{' & '.join(lower)} \\"] if any(lower) else [first]


def _width(column: str, referenced: bool) -> int:
    """Return how many columns a value of ours and the paper's beside it take."""
    return 2 if referenced and column in REFERENCED else 1


def _papers(row: Row, column: str, referenced: bool) -> list[str]:
    return [row[paper_column(column)]] if _width(column, referenced) == 2 else []


def _rules(spans: Sequence[int], start: int) -> str:
    """Return the lines under the names of the groups, of which the first begins in column ``start``."""
    parts = []
    for span in spans:
        parts.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return "".join(parts)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
