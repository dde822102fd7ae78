"""A plan as a picture: when each stage runs, and what the end of the study waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, TOP = 18, 330, 760, 58
WAITS, RUNS, STAGE = "#f2c48d", "#2f6fb0", "#9db7a5"


@dataclass(frozen=True)
class Bar:
    """A row: seconds of its readiness, start and end."""

    label: str
    ready: float
    start: float
    end: float


def gantt(title: str, stages: Sequence[Bar], path: Sequence[Bar]) -> str:
    """Return an SVG with a row for each stage, from its first start to its last end, and for each step of the path.

    Of a step of the critical path, the light part is its wait for room on the cluster.
    """
    unit, divisor = _unit(max((bar.end for bar in (*stages, *path)), default=0))
    scale = WIDTH / (max((bar.end for bar in (*stages, *path)), default=0) or 1)
    height = TOP + ROW * (len(stages) + len(path) + 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}"'
        ' font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="22" font-size="14">{escape(title)}</text>',
    ]
    row = TOP
    for heading, bars, colour in (
        ("Stages, from the first start to the last end", stages, STAGE),
        ("Critical path: light waits in the queue, dark runs", path, RUNS),
    ):
        parts.append(f'<text x="10" y="{row - 5}" font-weight="bold">{heading}</text>')
        for bar in bars:
            parts += _row(bar, row, scale, colour, f"{(bar.end - bar.start) / divisor:.3g} {unit}")
            row += ROW
        row += 2 * ROW
    return "\n".join([*parts, "</svg>", ""])


def _row(bar: Bar, top: float, scale: float, colour: str, length: str) -> list[str]:
    x = LEFT + bar.start * scale
    parts = [f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(bar.label)}</text>']
    if bar.start > bar.ready:
        parts.append(_rectangle(LEFT + bar.ready * scale, top, (bar.start - bar.ready) * scale, WAITS))
    parts.append(_rectangle(x, top, max((bar.end - bar.start) * scale, 1), colour))
    parts.append(f'<text x="{x + max((bar.end - bar.start) * scale, 1) + 4:.1f}" y="{top + 12}">{length}</text>')
    return parts


def _rectangle(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>'


def _unit(seconds: float) -> tuple[str, float]:
    return ("h", 3600.0) if seconds >= 2 * 3600 else ("min", 60.0) if seconds >= 120 else ("s", 1.0)
