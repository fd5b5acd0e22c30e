"""A clip's emotions as a subtitle track."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emotion_model.labels import LABELS, Label
from emotion_model.timelines.clock import stamp
from emotion_model.timelines.summary import Person


def subtitles(people: Iterable[Person], labels: Sequence[Label] = LABELS, form: str = "vtt", begin: float = 0.0) -> str:
    """A subtitle track with the emotion of each person, a cue per time that it lasts.

    Args:
        people: of a `ClipSummary`.
        labels: give each emotion its emoji.
        form: `vtt` (WebVTT) or `srt` (SubRip).
        begin: of the recording that they are for, in seconds of the clip.

    Raises:
        ValueError: another form.
    """
    if form not in ("vtt", "srt"):
        raise ValueError(f"form {form!r}: choose vtt or srt")
    emoji = {label.name: label.emoji for label in labels}
    segments = sorted(
        (segment.start - begin, segment.end - begin, person.number, segment.emotion)
        for person in people
        for segment in person.segments
    )
    cues = [(stamp(start, form), stamp(end, form), number, emotion) for start, end, number, emotion in segments]
    blocks = []
    # What is over in the same millisecond cannot be shown.
    for count, (start, end, number, emotion) in enumerate((cue for cue in cues if cue[0] != cue[1]), start=1):
        text = f"Person {number}: {emotion} {emoji.get(emotion, '')}".rstrip()
        head = "" if form == "vtt" else f"{count}\n"
        blocks.append(f"{head}{start} --> {end}\n{text}\n")
    return ("WEBVTT\n\n" if form == "vtt" else "") + "\n".join(blocks)
