"""A clip's emotions as a subtitle track."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emotion_model.labels import LABELS, Label
from emotion_model.timelines.clock import stamp
from emotion_model.timelines.summary import Person


def subtitles(people: Iterable[Person], labels: Sequence[Label] = LABELS, form: str = "vtt") -> str:
    """A subtitle track with the emotion of each person, a cue per time that it lasts.

    Args:
        people: of a `ClipSummary`.
        labels: give each emotion its emoji.
        form: `vtt` (WebVTT) or `srt` (SubRip).

    Raises:
        ValueError: another form.
    """
    if form not in ("vtt", "srt"):
        raise ValueError(f"form {form!r}: choose vtt or srt")
    emoji = {label.name: label.emoji for label in labels}
    cues = sorted(
        (segment.start, segment.end, person.number, segment.emotion) for person in people for segment in person.segments
    )
    blocks = []
    for count, (start, end, number, emotion) in enumerate(cues, start=1):
        text = f"Person {number}: {emotion} {emoji.get(emotion, '')}".rstrip()
        head = "" if form == "vtt" else f"{count}\n"
        blocks.append(f"{head}{stamp(start, form)} --> {stamp(end, form)}\n{text}\n")
    return ("WEBVTT\n\n" if form == "vtt" else "") + "\n".join(blocks)
