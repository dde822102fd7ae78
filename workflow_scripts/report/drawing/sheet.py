"""The result of a new patient as one picture, for archives that show no web pages: slices, numbers, flags."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workflow_scripts.common.volume import Volume
from workflow_scripts.report.drawing import slices
from workflow_scripts.report.drawing.panels import BRAIN_HU
from workflow_scripts.report.drawing.pictures import LEFT_EDGE, View
from workflow_scripts.report.drawing.style import STYLE

DPI, WIDTH, ROWS_HEIGHT, BAND_HEIGHT, LINE_HEIGHT = 100, 16.0, 2.3, 0.55, 0.24  # inches
COLUMNS = 8  # of `choose_views`
CHARACTERS = 190  # of a line
WARNING = {"facecolor": "#8B0000", "edgecolor": "none", "boxstyle": "square,pad=0.6"}
BURNED_IN = "research use only"


@dataclass(frozen=True)
class Row:
    """Slices of one image, HU, with outlines as (mask on its grid, colour)."""

    caption: str
    image: Volume
    views: Sequence[View]
    outlines: Sequence[tuple[np.ndarray, str]]


def draw(warning: str, texts: Sequence[str], rows: Sequence[Row]) -> np.ndarray:
    """Return the sheet, RGB, uint8 (row, column, 3): ``texts`` above ``rows``, and the warning over and below them."""
    lines = [line for text in texts for line in textwrap.wrap(text, CHARACTERS)]
    height = 2 * BAND_HEIGHT + LINE_HEIGHT * (len(lines) + 2.5) + ROWS_HEIGHT * len(rows)
    band, top = BAND_HEIGHT / height, ROWS_HEIGHT * len(rows) / height + BAND_HEIGHT / height
    with mpl.rc_context({**STYLE, "text.parse_math": False}):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        for middle in (band / 2, 1 - band / 2):
            look = {"color": "white", "weight": "bold", "size": 15, "ha": "center", "va": "center", "bbox": WARNING}
            figure.text(0.5, middle, warning, **look)
        figure.text(0.01, 1 - 1.3 * band, "\n".join(lines), size=11.5, va="top", linespacing=1.45)
        grid = figure.add_gridspec(len(rows), COLUMNS, left=0.01, right=0.99, top=top, bottom=band * 1.2, wspace=0.03)
        for number, row in enumerate(rows):
            for place, view in enumerate(row.views):
                axes = figure.add_subplot(grid[number, place])
                draw_slice(axes, row, view)
                if not place:
                    axes.set_title(row.caption, size=11.5)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def draw_slice(axes: Axes, row: Row, view: View) -> None:
    """Draw a slice with its outlines, the side at its left edge, and what it is not for."""
    axis, index = view
    across, up = (row.image.spacing[other] for other in range(3) if other != axis)
    cut = slices.grey(slices.plane(row.image.data, axis, index), *BRAIN_HU)
    axes.imshow(cut, cmap="gray", vmin=0, vmax=255, aspect=up / across)
    for mask, colour in row.outlines:
        outline = slices.plane(mask, axis, index)
        if outline.any():
            axes.contour(outline, levels=[0.5], colors=colour, linewidths=1.1)
    axes.text(0.02, 0.5, LEFT_EDGE[axis], color="white", size=9, transform=axes.transAxes)
    shade = {"facecolor": "black", "edgecolor": "none", "pad": 1.5}
    axes.text(0.5, 0.02, BURNED_IN, color="#FFB0B0", size=8, ha="center", transform=axes.transAxes, bbox=shade)
    axes.set(xticks=[], yticks=[], facecolor="black", box_aspect=1)
    axes.grid(visible=False)
    axes.set_adjustable("datalim")
