"""So many frames of a clip per second."""

from __future__ import annotations

import math
from collections.abc import Iterator

from emotion_model.clips.frame import VideoFrame
from emotion_model.clips.reading import LONG_FRAME


def sampled(frames: Iterator[VideoFrame], rate: float | None, start: float = 0.0) -> Iterator[tuple[VideoFrame, bool]]:
    """Every frame with whether it is one of `rate` per second, counted from `start`; all are, if the rate is None.

    Such a one is the first from each of these times on, and before it the one that is shown then, where the clip has
    no other for long: screen recordings, for one, have frames only where something moves.
    """
    if rate is None:
        yield from ((frame, True) for frame in frames)
        return
    due, last, gap = start, start, 0.0
    for frame in frames:
        last, gap = frame.time, frame.time - last
        if frame.time >= due - 5e-4:
            due = start + (math.floor((frame.time - start) * rate + 1e-3) + 1) / rate
            yield frame, True
        else:
            stands = frame.until - due > max(LONG_FRAME, gap)
            due += stands / rate
            yield frame, stands
