"""Cards of the people of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from emotion_model.drawing.page import LISTED
from emotion_model.labels import UNCLEAR, Label, person_colour
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary, Person, seen_longest, told_of_others
from ui.cards import bars, heading
from ui.pictures import emoji_url, picture_url

LISTED_BRIEFLY = 4  # people, while a clip is read: their cards are sent twice a second


def summary_html(summary: ClipSummary, brief: bool = False) -> str:
    """A card for each of those seen longest: how long they show which emotion, means, changes, the strongest moments.

    Args:
        summary: of a clip, also while it grows.
        brief: of few people, and without the moments, whose pictures would be sent again and again.
    """
    people = summary.people
    if not people:
        return f'<div data-start="{summary.start}" hidden></div>'
    listed = seen_longest(people, LISTED_BRIEFLY if brief else LISTED)
    cards = "".join(_person_card(one, summary, brief) for one in listed)
    more = len(people) - len(listed)
    said = f"<p>{told_of_others(more)}</p>" if more else ""
    return f'<ul class="cards" data-start="{summary.start}" aria-label="People in the clip">{cards}</ul>{said}'


def _person_card(person: Person, summary: ClipSummary, brief: bool) -> str:
    top = max(person.shares, key=lambda name: person.shares[name])
    shown = (*summary.labels, UNCLEAR) if UNCLEAR.name in person.shares else summary.labels
    rows = [(label.name, person.shares.get(label.name, 0.0) / person.seconds) for label in shown]
    facts = (("Valence", f"{person.valence:+.2f}"), ("Arousal", f"{person.arousal:+.2f}"), ("Changes", person.changes))
    measures = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    moments = "" if brief else "".join(_moment(peak, summary.labels) for peak in person.moments)
    about = f"Person {person.number}, {clock(person.first)} to {clock(person.last)}"
    return (
        f'<li class="card person" style="--person:{person_colour(person.number)}">'
        f"{heading(top, about, f'Mostly {top}', summary.labels)}"
        f'{bars(rows, shown)}<dl class="measures">{measures}</dl>'
        + (f'<div class="moments" role="group" aria-label="Strongest moments">{moments}</div>' if moments else "")
        + "</li>"
    )


def _moment(peak: Any, labels: Sequence[Label]) -> str:
    picture = emoji_url(peak.emotion, labels) if peak.thumbnail is None else picture_url(peak.thumbnail)
    said = f"{escape(peak.emotion)} {peak.probability:.0%}"
    return (
        f'<button type="button" class="moment" data-time="{peak.time:.6f}" title="Show {said} at {clock(peak.time)}">'
        f'<img src="{picture}" alt=""><span>{said}</span><span>{clock(peak.time)}</span></button>'
    )
