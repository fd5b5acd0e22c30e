"""What the Video tab and `/analyze_video` do; the page is elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from emotion_model import MediaError, VideoConfig
from emotion_model.clips.reading import by_number
from emotion_model.timelines.summary import ClipSummary
from ui import cards
from ui.refusals import Refusal
from ui.video.figure import timeline_figure
from ui.video.people import summary_html
from ui.video.runs import ALL_FILES, FILES, Analysis, Replaced, Step, VideoLimits
from ui.video.words import end_line, for_visitors, progress_line, refused, writing_line

RATES = {"every frame": 0.0, "10 per second": 10.0, "5 per second": 5.0, "2 per second": 2.0, "1 per second": 1.0}
CARDS_SECONDS = (
    2.0  # between two looks at the cards while a clip is read: each has a picture, for slow connections too much
)

INVITATION = cards.status("Add a clip to begin.", "Upload or record one.", "quiet")

Updates = dict[str, Any]  # name of a component of the tab -> its new value, or a `gr.update`

# What is shown of a clip, taken away; and the button without a run that it could stop.
EMPTIED: Updates = {"annotated": None, "summary": ""}
EMPTIED |= {part: gr.update(visible=False) for part in ("timeline", "person", "files")}
UNCHANGED: Updates = {"status": gr.skip()}
NO_STOP: Updates = {"stop": gr.update(interactive=False)}
# Said at every step: the page may lose one that comes close to the button's going off, or behind a late answer.
STOP: Updates = {"stop": gr.update(interactive=True)}


def show(
    analysis: Analysis,
    clip: str | None,
    pictures: list[str] | None,
    rate: str,
    start: float,
    end: float,
    strip: bool,
    session: str,
    number: int,
) -> Iterator[Updates]:
    """Analyse a clip, or the pictures of a sequence, for the page; without either the tab is emptied.

    Nothing happens where the visitor has handed in something else while this one waited for its turn, or where it is
    being read already: the page asks twice where the server's answer to what came before is late. For a newer question
    with other settings, by the numbers of both, it is read anew. A run that gives way ends with a step that changes
    nothing, as Gradio sends the last one once more. But nothing may follow on results: the page would take it as a
    change of the very objects that it may be about to show.
    """
    given = clip or pictures
    if not analysis.begin(session, given, (rate, start, end, strip), number):
        yield UNCHANGED
        return
    nothing: Updates = EMPTIED | {"state": None}
    try:
        source = clip or sequence(pictures, analysis.limits)
    except MediaError as error:
        yield nothing | NO_STOP | {"status": cards.problem(str(error))}
        return
    if not source:
        yield nothing | NO_STOP | {"status": INVITATION}
        return
    try:
        config = VideoConfig(RATES[rate] or None, start or 0.0, end or None, strip)
        steps = analysis.steps(source, config, ALL_FILES, session)
        yield nothing  # the status goes on saying that it waits
        carded = -math.inf
        for step in steps:
            if not analysis.wants(session, number):
                yield UNCHANGED  # taken out just before the run began
                return
            if step.outputs:
                yield _results(step)
            elif step.progress:
                told = STOP | {"status": progress_line(step.progress)}
                if time.monotonic() - carded >= CARDS_SECONDS:
                    told["summary"], carded = summary_html(step.summary, brief=True), time.monotonic()
                yield told
            elif step.writing:
                yield NO_STOP | {"status": writing_line()}
            else:
                yield STOP | {"status": progress_line(None)}
    except Replaced:
        yield UNCHANGED  # the page shows what came after
    except ValueError as error:
        yield nothing | NO_STOP | {"status": cards.problem(for_visitors(error))}


def _results(step: Step) -> Updates:
    people = step.summary.people
    chosen = max(people, key=lambda one: one.seconds, default=None)
    cards_of_people = summary_html(step.summary)
    step.summary.forget_pictures()  # it stays on the server for the timelines of the others
    return {
        "annotated": str(step.outputs.annotated) if step.outputs else None,
        "status": end_line(step),
        "summary": cards_of_people,
        "timeline": gr.update(value=timeline_figure(step.summary, chosen), visible=True),
        "person": gr.update(
            choices=[(f"Person {one.number}", one.number) for one in people],
            value=chosen.number if chosen else None,
            visible=len(people) > 1,
        ),
        "files": gr.update(value=files_of(step), visible=True),
        "state": step.summary,
        **NO_STOP,
    }


def choose(number: int | None, summary: ClipSummary | None) -> Any:
    """The timeline of another person."""
    if summary is None:
        gr.Warning("The timelines are no longer on the server: press Analyse once more.")
        return gr.skip()
    return timeline_figure(summary, next((one for one in summary.people if one.number == number), None))


Answer = tuple[dict[str, Any], str | None, list[str] | None]


def answers(
    analysis: Analysis, video: str | None, rate: float, start: float, end: float, annotated: bool, caller: str
) -> Iterator[Answer]:
    """What `/analyze_video` answers, again and again while it works: progress, annotated clip, files.

    Raises:
        Refusal: the clip cannot be used, with the code as title.
    """
    if not video:
        raise Refusal("empty", "No clip was sent: give a file.")
    try:
        config = part(rate, start, end)
        answer: dict[str, Any]
        wanted = ALL_FILES if annotated else FILES
        for step in analysis.steps(video, config, wanted, f"api {caller} {threading.get_ident()}"):
            if step.outputs:
                answer = {"done": True, "progress": 1.0, "seconds_left": 0.0, "rows": step.rows}
                answer |= {"summary": step.summary.to_dict(), "notice": step.notice}
                yield answer, str(step.outputs.annotated) if step.outputs.annotated else None, files_of(step)
            elif step.progress:
                left = step.progress.seconds_left
                answer = {"done": False, "progress": round(step.progress.fraction, 4)}
                answer |= {"seconds_left": None if left is None else round(left, 1), "rows": step.rows}
                yield answer, None, None
    except ValueError as error:
        raise refused(error) from None


def part(rate: Any, start: Any, end: Any) -> VideoConfig:
    """The part of a clip that a program asks for; 0 or nothing: every frame, from the beginning, to the end.

    Raises:
        ValueError: these are no numbers, or out of range.
    """
    try:
        rate, start, end = (float(value or 0) for value in (rate, start, end))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"rate={rate!r}, start={start!r}, end={end!r}: give numbers") from None
    return VideoConfig(rate or None, start, end or None)


def files_of(step: Step) -> list[str]:
    """Paths of the tables, tracks and pictures that a run has written."""
    return [str(getattr(step.outputs, name)) for name in FILES]


def sequence(pictures: list[str] | None, limits: VideoLimits) -> Any:
    """One file is a clip of its own, several are a sequence in the order of the numbers in their names.

    Raises:
        MediaError: they are too many.
    """
    if not pictures:
        return None
    if len(pictures) > limits.pictures:
        raise MediaError(
            "too_long",
            f"Those are {len(pictures):,} pictures, and the limit is {limits.pictures:,}: choose fewer, "
            "or make a clip of them.",
        )
    return pictures[0] if len(pictures) == 1 else sorted(pictures, key=lambda path: by_number(Path(path)))
