"""A clip on one page: an HTML file that needs nothing else, to print, to send and to keep."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path

import cv2

from emotion_model.labels import UNCLEAR, Label, label_of, person_colour
from emotion_model.timelines.clock import clock
from emotion_model.timelines.summary import ClipSummary, Peak, Person, seen_longest, told_of_others

LISTED = 12  # people; those seen longest
# Of every page that is a file. On paper, browsers leave backgrounds out unless they are told: bars are nothing else.
PLAIN_STYLE = """
:root { color-scheme: light dark; --ink: #1c1d22; --soft: #5d606b; --ground: #fff; --line: #d9dbe2; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf1; --soft: #a5a8b4; --ground: #16171b; --line: #363842; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto;
  padding: 1.5rem 1rem; max-width: 60rem; }
.shares, .bars { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
"""
STYLE = """
body { font-size: 15px; line-height: 1.45; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 0; }
p { color: var(--soft); margin: .2rem 0 1rem; }
img.timeline { width: 100%; height: auto; background: #fff; border-radius: .6rem; }
ul { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
li { border: 1px solid var(--line); border-top: 4px solid var(--person); border-radius: .6rem; padding: .7rem .9rem;
  break-inside: avoid; }
.shares { display: flex; height: .8rem; border-radius: .4rem; overflow: hidden; margin: .5rem 0; }
.moments { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .5rem; font-size: .8rem; }
.moments figure { margin: 0; width: 4.6rem; text-align: center; } .moments img { width: 100%; border-radius: .4rem; }
@media print { body { font-size: 11px; padding: 0; } }
"""


def save_page(summary: ClipSummary, timeline: bytes, title: str, model: str, path: Path) -> None:
    """Write the page of a clip: its timeline, and for each person what was shown how long and the strongest moments.

    Args:
        summary: of the whole clip.
        timeline: PNG, as `save_timeline` writes it.
        title: what the clip is called.
        model: the name of what read it.
        path: the HTML file.
    """
    people = summary.people
    labels = (*summary.labels, UNCLEAR)
    seconds = summary.end - summary.start
    seen = "Nobody was seen" if not people else "1 person" if len(people) == 1 else f"{len(people)} people"
    length = f"{clock(seconds)} {'hours' if clock(seconds).count(':') > 1 else 'minutes'}"
    said = f"{seen} in {length}. Read on {date.today():%d %B %Y}; model: {model}."
    more = f"<p>{told_of_others(len(people) - LISTED)}</p>" if len(people) > LISTED else ""
    cards = "".join(_card(one, labels) for one in seen_longest(people, LISTED))
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}: emotions</title><style>{PLAIN_STYLE}{STYLE}</style>"
        f"<h1>{escape(title)}</h1><p>{escape(said)} The expressions that faces show, not what people feel.</p>"
        f'<img class="timeline" alt="Each person’s emotions over the clip" src="{_url("png", timeline)}">'
        f"<ul>{cards}</ul>{more}</html>\n",
        encoding="utf-8",
    )


def _card(person: Person, labels: Sequence[Label]) -> str:
    shares = {name: seconds / person.seconds for name, seconds in person.shares.items() if seconds > 0}
    order = sorted(shares, key=lambda name: -shares[name])
    bars = "".join(
        f'<span style="flex:{shares[one]:.4f};background:{label_of(one, labels).colour}"></span>' for one in order
    )
    said = ", ".join(f"{escape(one)} {shares[one]:.0%}" for one in order if shares[one] >= 0.01)
    moments = "".join(_moment(peak) for peak in person.moments if peak.thumbnail is not None)
    return (
        f'<li style="--person:{person_colour(person.number)}"><h2>Person {person.number}, {clock(person.first)} to '
        f'{clock(person.last)}</h2><div class="shares" aria-hidden="true">{bars}</div>{said}<br>Valence '
        f"{person.valence:+.2f}, arousal {person.arousal:+.2f}, changes {person.changes}"
        f'<div class="moments">{moments}</div></li>'
    )


def _moment(peak: Peak) -> str:
    _, picture = cv2.imencode(".jpg", peak.thumbnail[..., ::-1])  # type: ignore[index]
    said = f"{escape(peak.emotion)} {peak.probability:.0%}, {clock(peak.time)}"
    return f'<figure><img src="{_url("jpeg", picture.tobytes())}" alt=""><figcaption>{said}</figcaption></figure>'


def _url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
