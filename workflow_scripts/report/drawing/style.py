"""One look for all figures, and the same bytes for the same content."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from workflow_scripts.common.files import replacing
from workflow_scripts.common.vocabulary import SPLITS

# Okabe and Ito's colours, told apart with any common colour vision. Red is left to reference masks (paper, Fig. 7).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F", "#5B5B5B", "#D55E00")
OVERLAYS = ("#56B4E9", "#F0E442", "#CC79A7", "#00C79A")
REFERENCE = "#FF2A2A"
INK, MUTED, GRID = "#1f2933", "#5f6b76", "#e3e7eb"
SPLIT_COLOURS = dict(zip(SPLITS, ("#9AA5B1", "#0072B2", "#E69F00"), strict=True))

STYLE = {
    "svg.hashsalt": "report",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "white",
}
METADATA = {".svg": {"Date": None}, ".png": {"Software": None}}


@contextmanager
def drawing(paths: Sequence[Path], width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of the given size in inches; it is written to each of ``paths`` (SVG or PNG) at the end."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for path in paths:
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=160, metadata=METADATA[path.suffix])


def curve(axes: Axes, epochs: Sequence[float], values: Sequence[float], **look: Any) -> None:
    """Draw a quantity over the epochs; a single epoch is a point."""
    single = len(epochs) == 1
    axes.plot(epochs, values, marker="o" if single else None, markersize=4, **look)
    axes.xaxis.set_major_locator(FixedLocator(epochs) if single else MaxNLocator(integer=True))


def bare(axes: Axes) -> None:
    """Take everything but the content off a panel that holds an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
