"""What all figures share: their style, their titles, how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emotion_model.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LINE, LIGHT = "#20242c", "#70747f", "#c9ccd6", "#e6e8ee"
BLUE, AMBER = "#0e5cff", "#b78300"
WIDTH = 4.8  # inches: at the width of a phone, points come out as about as many CSS pixels
DPI = 200
STYLE: Any = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    # White and opaque with a margin, so that a figure is as easy to read on a dark page.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.12,
}


def titled(axes: Axes, title: str, handles: Sequence[Any], columns: int = 3) -> None:
    """A title with the legend between it and the axes, where no curve can run through it."""
    axes.set_title(title, pad=8 + 13 * math.ceil(len(handles) / columns))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        borderpad=0,
        ncols=columns,
        handlelength=1,
        columnspacing=1.4,
        labelspacing=0.3,
        fontsize=8.5,
    )


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white; unlike transparency it hides the grid behind it."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


@contextmanager
def new_figure(path: Path, height: float, description: str, width: float = WIDTH) -> Iterator[Figure]:
    """A figure in the common style, in inches; written to `path` at the end, whole or not at all."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("figures need matplotlib: pip install -r requirements-train.txt") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        drawn = BytesIO()
        figure.savefig(drawn, dpi=DPI)
    said = PngInfo()
    said.add_text("Description", description)
    with whole_file(path) as partial, Image.open(drawn) as picture:  # a few dozen colours say the same in fewer bytes
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(partial, "PNG", optimize=True, pnginfo=said)
