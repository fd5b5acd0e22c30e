"""Times for people and for subtitles."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """A time for people: `0:07`, `12:30`, `1:02:03`."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def stamp(seconds: float, form: str) -> str:
    """A time of a subtitle track, as WebVTT (`vtt`) or SubRip (`srt`) writes it: `00:00:07.120`, `00:00:07,120`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    mark = "." if form == "vtt" else ","
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
