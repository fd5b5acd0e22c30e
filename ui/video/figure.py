"""The timeline of a clip, as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gradio.components.plot import PlotData

from emotion_model.drawing.page import LISTED
from emotion_model.labels import UNCLEAR, person_colour
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary, Person, seen_longest, told_of_others

MAX_SEGMENTS = 3000  # drawn in the timeline; the longest ones
# Pixels of its parts, from the top: a band, what is left free below them, areas, free, valence; and around them all.
BAND, BELOW_BANDS, AREAS, BELOW_AREAS, VALENCE = 27, 15, 213, 23, 91
TOP, BOTTOM, TO_LEGEND = 28, 40, 50


def timeline_figure(summary: ClipSummary, person: Person | None) -> PlotData:
    """The timeline for Plotly, which Gradio brings along: bands of those seen longest, stacked areas of one person."""
    people = seen_longest(summary.people, LISTED)
    if person and person.number not in [one.number for one in people]:
        people = sorted([*people, person], key=lambda one: one.number)
    axis = {"range": [summary.start, summary.end], "gridcolor": "rgba(128,128,128,.25)", "zeroline": False}
    bands = BAND * max(len(people), 2)
    high = bands + BELOW_BANDS + AREAS + BELOW_AREAS + VALENCE
    layout: dict[str, Any] = {
        "height": TOP + high + BOTTOM,
        "margin": {"l": 84, "r": 16, "t": TOP, "b": BOTTOM},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "barmode": "overlay",
        "bargap": 0.15,  # Plotly leaves bars without their words that are less than 19 pixels high
        "uniformtext": {"minsize": 10, "mode": "hide"},
        "hovermode": "x unified",
        "meta": _in_words(summary, person),  # for those who do not see it, by video.js
        "dragmode": "zoom",
        "xaxis": axis | {"title": {"text": "seconds", "standoff": 4}, "anchor": "y3", "hoverformat": ".2f"},
        "yaxis": {"domain": [1 - bands / high, 1], "fixedrange": True, "type": "category",
            "categoryorder": "array", "categoryarray": [f"Person {one.number}" for one in reversed(people)]},
        "yaxis2": {
            "domain": [(VALENCE + BELOW_AREAS) / high, 1 - (bands + BELOW_BANDS) / high],
            "range": [0, 1],
            "tickformat": ".0%",
            "fixedrange": True,
            "tickvals": [0, 0.5, 1],
        },
        "yaxis3": {
            "domain": [0, VALENCE / high],
            "range": [-1, 1],
            "fixedrange": True,
            "tickvals": [-1, 0, 1],
            "ticktext": ["unpleasant", "0", "pleasant"],
            "gridcolor": axis["gridcolor"],
            "zeroline": False,
        },
        "legend": {"orientation": "h", "y": -TO_LEGEND / high, "yanchor": "top", "traceorder": "normal"},
        "shapes": [
            {"type": "line", "x0": summary.start, "x1": summary.start, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": "#6f54e4", "width": 2}}
        ],
    }  # fmt: skip
    data = _bands(summary, people) + (_areas(summary, person) if person else [])
    note = {"showarrow": False, "xref": "paper", "yref": "paper"}
    if not people:
        layout["annotations"] = [note | {"text": "No face was seen.", "x": 0.5, "y": 0.5}]
    elif more := len(summary.people) - len(people):
        said = {"text": told_of_others(more), "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}
        layout["annotations"] = [note | said]
    config = {"displaylogo": False, "scrollZoom": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
    return PlotData(type="plotly", plot=json.dumps({"data": data, "layout": layout, "config": config}))


def _in_words(summary: ClipSummary, person: Person | None) -> str:
    """One sentence on each thing that is drawn."""
    count = len(summary.people)
    if not count:
        return "Timeline, empty: no face was seen."
    who = "1 person" if count == 1 else f"{count} people"
    said = f"Timeline of {who} from {clock(summary.start)} to {clock(summary.end)}."
    if person is None:
        return said
    most = sorted(person.shares.items(), key=lambda share: -share[1])[:3]
    shares = ", ".join(f"{name} {seconds / person.seconds:.0%}" for name, seconds in most if seconds)
    changes = f"{person.changes} change{'' if person.changes == 1 else 's'}"
    return f"{said} Person {person.number}: {shares}; {changes}; valence {person.valence:+.2f}. Cards follow."


def _bands(summary: ClipSummary, people: Sequence[Person]) -> list[dict[str, Any]]:
    parts = [(one.end - one.start, person.number, one) for person in people for one in person.segments]
    parts = sorted(parts, key=lambda part: -part[0])[:MAX_SEGMENTS]
    traces = []
    for label in (*summary.labels, UNCLEAR):
        mine = [(number, one) for _, number, one in parts if one.emotion == label.name]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label.name,
                "legendgroup": label.name,
                "showlegend": label is UNCLEAR and bool(mine),  # the others have their areas there
                "base": [round(one.start, 3) for _, one in mine],
                "x": [round(one.end - one.start, 3) for _, one in mine],
                "y": [f"Person {number}" for number, _ in mine],
                "text": label.name,  # where it fits: whoever cannot tell the colours apart reads it
                "textposition": "inside",
                "insidetextanchor": "middle",
                "insidetextfont": {"color": label.ink},
                "textangle": 0,
                "marker": {"color": label.colour, "line": {"width": 0}},
                "hoverinfo": "skip",
            }
        )
    return traces


def _areas(summary: ClipSummary, person: Person) -> list[dict[str, Any]]:
    times, values = _with_edges(summary.timeline(person), summary.bin_seconds)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": label.name,
            "legendgroup": label.name,
            "yaxis": "y2",
            "stackgroup": "emotions",
            "x": times,
            "y": [0 if row is None else row[label.name] for row in values],
            "line": {"width": 0, "color": label.colour},
            "fillcolor": label.colour,
            "hovertemplate": "%{y:.0%}",
        }
        for label in summary.labels
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "valence",
            "yaxis": "y3",
            "showlegend": False,
            "x": times,
            "y": [None if row is None else row["valence"] for row in values],
            "line": {"width": 2, "color": person_colour(person.number)},
            "hovertemplate": "%{y:+.2f}",
        }
    )
    return traces


def _with_edges(rows: list[dict[str, Any]], step: float) -> tuple[list[float], list[dict[str, Any] | None]]:
    """Times and rows of a timeline, None where somebody is not seen: there the areas fall to nothing at once."""
    times: list[float] = []
    values: list[dict[str, Any] | None] = []

    def edge(row: dict[str, Any], side: int) -> None:
        there = row["time"] + side * step / 2
        inner, outer = (round(there, 4), row), (round(there + side * 1e-3, 4), None)
        for when, value in (inner, outer) if side > 0 else (outer, inner):
            times.append(when)
            values.append(value)

    for i, row in enumerate(rows):
        if i == 0 or row["time"] - rows[i - 1]["time"] > 1.5 * step:
            if i:
                edge(rows[i - 1], 1)
            edge(row, -1)
        times.append(row["time"])
        values.append(row)
    if rows:
        edge(rows[-1], 1)
    return times, values
