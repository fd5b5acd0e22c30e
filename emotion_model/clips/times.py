"""When each frame of a clip is shown."""

from __future__ import annotations

import math
from collections.abc import Iterator

import av

CLOCK_JUMP = 1.0  # s; a clock that runs backwards by more than that has begun anew


class Clock:
    """The times of one frame after the other, in seconds from the clip's beginning; they never fall.

    Attributes:
        lost: by how much the clock is behind, in seconds, as it began anew before.
    """

    def __init__(self, rate: float, zero: float, lag: float | None) -> None:
        """Begin before the first frame.

        Args:
            rate: frames per second, for those that have no time.
            zero: when the clip begins by its own clock, in seconds.
            lag: where the times of decoding tell when a frame is shown, by how much they come later, in seconds; else
                None.
        """
        self._step, self._zero, self._lag = 1 / rate, zero, lag
        self.lost = 0.0
        self._last = -math.inf

    def timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, float, float | None]]:
        """The next frames, each with when it is shown and when the next one is; of the last one, None for that."""
        before: tuple[av.VideoFrame, float] | None = None
        frame = next(frames, None)
        while frame is not None:
            after = next(frames, None)
            time = self._time(frame, after)
            if before:
                yield *before, time
            before, frame = (frame, time), after
        if before:
            yield *before, None

    def _time(self, frame: av.VideoFrame, after: av.VideoFrame | None) -> float:
        shown = self._shown(frame)
        following = None if after is None else self._shown(after)
        if shown is not None and following is not None and self._strays(shown, following):
            shown = (self._last - self.lost + following) / 2
        time = self._last + self._step if shown is None else shown + self.lost
        if time < self._last - CLOCK_JUMP:  # as where two recordings were put one behind the other
            self.lost += self._last + self._step - time
            time = self._last + self._step
        time = max(time, self._last, 0.0)  # a clock that runs backwards stands still here
        self._last = time if math.isfinite(time) else 0.0
        return self._last

    def _strays(self, shown: float, following: float) -> bool:
        """Whether a time is a wrong one: it lies far off, and the next frame goes on where the last one was."""
        last, near = self._last - self.lost, CLOCK_JUMP + 2 * self._step
        return abs(following - last) < near < min(abs(shown - last), abs(shown - following))

    def _shown(self, frame: av.VideoFrame) -> float | None:
        if self._lag is not None:
            return None if frame.dts is None else seconds(frame, frame.dts) - self._lag
        return None if frame.pts is None else seconds(frame, frame.pts) - self._zero


def seconds(frame: av.VideoFrame | av.VideoStream, ticks: int | None) -> float:
    """Ticks of a frame's or a stream's clock in seconds; 0 where nothing is known."""
    return float((ticks or 0) * (frame.time_base or 0))
