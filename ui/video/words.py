"""What is said of a run."""

from __future__ import annotations

import re

from emotion_model import MediaError
from emotion_model.clips.run import VideoProgress
from emotion_model.timelines.clock import clock
from ui.cards import status, under_way
from ui.refusals import Refusal
from ui.video.runs import Step

FIELDS = {"start": "From second", "end": "To second"}  # what the page calls them; programs know the names


def waiting_line(at_once: int) -> str:
    """A clip or pictures came, and wait for their turn; so many are read at a time."""
    return status("Waiting to begin.", f"{at_once} clips are read at a time; yours as soon as a place is free.", "busy")


def progress_line(progress: VideoProgress | None) -> str:
    """How far a run has come, with a bar; None: it has just begun."""
    if progress is None:
        return under_way("Opening the clip.", "", None)
    left = "" if progress.seconds_left is None else f"about {clock(progress.seconds_left)} left"
    detail = f"at {clock(progress.frame.time)} of the clip, {left}".rstrip(", ")
    return under_way(f"{progress.fraction:.0%}", detail, progress.fraction)


def stopping_line() -> str:
    """Stop was pressed."""
    return status("Stopping.", "What is done is being put together.", "busy")


def writing_line() -> str:
    """All frames are read, and the files are on their way."""
    return under_way("Almost done.", "The files are being written.", None)


def end_line(step: Step) -> str:
    """What a run came to."""
    people = step.summary.people
    count = "No face was seen." if not people else "1 person." if len(people) == 1 else f"{len(people)} people."
    looked = f"{step.summary.frames} frames from {clock(step.summary.start)} to {clock(step.summary.end)}"
    if step.stopped:
        return status("Stopped.", f"{count} What was done is kept: {looked}.")
    hint = "Click on the timeline or on a moment to see it in the clip." if people else "Try a clip with larger faces."
    return status(count, f"{looked}. {step.notice or hint}", "" if people else "quiet")


def for_visitors(error: Exception) -> str:
    """The error's sentence, with the page's word for a field, and without a path on this machine."""
    return re.sub(r"^(start|end)=", lambda name: f"“{FIELDS[name[1]]}” ", _without_paths(error))


def refused(error: ValueError) -> Refusal:
    """The same for programs, with a code and the names of their parameters."""
    return Refusal(error.code if isinstance(error, MediaError) else "bad_value", _without_paths(error))


def _without_paths(error: Exception) -> str:
    if getattr(error, "code", "") == "unreadable":
        return "The clip is no longer on the server: send it once more."
    if getattr(error, "code", "") in ("disk_full", "unwritable"):
        return "The server has no room for the result at the moment: try a shorter clip, or later."
    return str(error)
