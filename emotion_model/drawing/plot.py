"""The timeline of a clip as a picture: for each person the emotions as stacked areas, and a band of the label."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from emotion_model.labels import UNCLEAR, label_of
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary, Person, seen_longest, told_of_others

MAX_PEOPLE = 40  # drawn, those seen longest; more would not fit a picture
_WIDTH = 12.0  # inches
_PANEL = 1.25  # inches per person
_DPI = 110
_LETTER = 0.09  # inches of a small one, rather too many


def save_timeline(summary: ClipSummary, path: Path | BinaryIO) -> None:
    """Write the timeline as a PNG file, or into one that is open; where nobody is seen, nothing is drawn."""
    people = seen_longest(summary.people, MAX_PEOPLE)
    figure = Figure(figsize=(_WIDTH, 1.3 + _PANEL * max(len(people), 1)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [4, 1] * max(len(people), 1)
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes in grid:
        axes.set_autoscale_on(False)  # limits are set here; to look for others takes long where there are many people
        axes.set(ylim=(0, 1), yticks=[])
        axes.spines[:].set_visible(False)
    for i, person in enumerate(people):
        areas, band = grid[2 * i], grid[2 * i + 1]
        _draw_areas(areas, summary, person)
        areas.set_ylabel(f"Person {person.number}", rotation=0, ha="right", va="center")
        _draw_band(band, summary, person)
    if not people:
        grid[0].text(0.5, 0.5, "No face was seen.", ha="center", va="center", transform=grid[0].transAxes)
    grid[-1].set_xlim(summary.start, max(summary.end, summary.start + 1e-3))
    if summary.end - summary.start >= 10:  # labels of whole seconds
        grid[-1].xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10], integer=True))
    grid[-1].xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _label(seconds, summary)))
    for axes in grid[:-1]:
        axes.tick_params(bottom=False)
    unclear = any(one.emotion == UNCLEAR.name for person in people for one in person.segments)
    shown = (*summary.labels, UNCLEAR) if unclear else summary.labels
    handles = [Patch(color=label.colour, label=label.name) for label in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 8), frameon=False)
    if others := len(summary.people) - len(people):
        figure.supxlabel(told_of_others(others), fontsize="medium")
    figure.savefig(path, format="png")


def _draw_areas(axes: Axes, summary: ClipSummary, person: Person) -> None:
    names = [label.name for label in summary.labels]
    rows = summary.timeline(person)
    if not rows:
        return
    times = np.array([row["time"] for row in rows])
    values = np.array([[row[name] for name in names] for row in rows])
    # One piece per time without a gap; its steps begin and end with half a step more, so that a short one is seen.
    gaps = np.flatnonzero(np.diff(times) > summary.bin_seconds * 1.5) + 1
    half = summary.bin_seconds / 2
    for piece in np.split(np.arange(len(times)), gaps):
        edge = np.concatenate([[times[piece[0]] - half], times[piece], [times[piece[-1]] + half]])
        tops = values[np.concatenate([[piece[0]], piece, [piece[-1]]])]
        axes.stackplot(edge, tops.T, colors=[label.colour for label in summary.labels], linewidth=0)


def _draw_band(axes: Axes, summary: ClipSummary, person: Person) -> None:
    """What somebody shows as time goes on, in colours and, where there is room, in words for who cannot tell those."""
    labels = [label_of(one.emotion, summary.labels) for one in person.segments]
    spans = [(one.start, max(one.end - one.start, 1e-3)) for one in person.segments]
    axes.broken_barh(spans, (0, 1), facecolors=[label.colour for label in labels])
    for label, (start, seconds) in zip(labels, spans, strict=True):
        if seconds / (summary.end - summary.start) * _WIDTH > _LETTER * (len(label.name) + 2):
            word = axes.text(start + seconds / 2, 0.45, label.name, fontsize=8, ha="center", va="center")
            word.set(color=label.ink, in_layout=False)


def _label(seconds: float, summary: ClipSummary) -> str:
    return f"{seconds:.1f} s" if summary.end - summary.start < 10 else clock(max(seconds, 0))
