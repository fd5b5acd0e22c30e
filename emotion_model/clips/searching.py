"""Where the faces of successive frames are: looked for in some of them, and between these where it is not plain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from emotion_model.clips.frame import VideoFrame
from emotion_model.clips.gliding import GLIDE_OVERLAP, between, paired, paired_on_their_way
from emotion_model.faces.boxes import Detection

GLIDE_SECONDS = 0.1  # for so long faces are taken to move straight on, and are not looked for anew
REST_SECONDS = 0.3  # for so long those that hardly moved, or move on as before, are taken to have done so in between
REST_OVERLAP = 0.6  # of the boxes of two frames: a face that hardly moved
CLOSER_SECONDS = 3.0  # of the clip: so often a frame is looked at as closely as a photo

Sampled = tuple[VideoFrame, np.ndarray, float | None]  # with its pixels, and the time of a cut since the one before


class Search:
    """Finds the faces of a clip, batch after batch.

    Finding them costs more than reading them. So they are looked for in one frame of every `REST_SECONDS`, and between
    two such frames only where it is not plain that they glided: at rest or straight on as before for so long, or on
    their way for `GLIDE_SECONDS`, with no cut between, and no face that came or left.

    A quick look misses small faces. So the first frame that is looked at in every `CLOSER_SECONDS` is looked at closely
    too, and where that shows more faces, so are all until the next such frame. The clip's clock says which frames those
    are: a part of it that is read by itself has the same ones.
    """

    def __init__(
        self,
        detect: Callable[[np.ndarray], list[Detection]],
        closer: Callable[[np.ndarray, list[Detection]], list[Detection]],
    ) -> None:
        """Begin before the first frame.

        Args:
            detect: finds the faces of uint8 RGB `(height, width, 3)`.
            closer: adds to these the ones that only a closer look shows.
        """
        self._detect, self._closer = detect, closer
        self._tried: int | None = None  # number of the stretch of `CLOSER_SECONDS` that had its closer look
        self._small = False  # did it show more faces?
        self._last: list[Sampled] = []  # the frame before the batch, none at first
        self._looks: list[tuple[float, list[Detection]]] = []  # time and faces of its look and of the one before that

    def faces(self, batch: Sequence[Sampled]) -> list[list[Detection]]:
        """The faces of the next frames."""
        frames = [*self._last, *batch]
        if not self._looks:
            self._looks = [(frames[0][0].time, self._first_look(frames[0]))]
        found = [self._looks[-1][1]]
        while (key := len(found) - 1) < len(frames) - 1:
            end = _last_within(frames, key, REST_SECONDS)
            stretch, before, after = frames[key : end + 1], found[key], self._first_look(frames[end])
            pairs = self._on_their_way(stretch, after)
            inner = self._between(stretch, before, after) if pairs is None else _glided(stretch, before, pairs)
            found += [*inner, after]
            self._looks = [*([] if _cut(stretch) else self._looks[-1:]), (frames[end][0].time, after)]
        self._last = [frames[-1]]
        return found[-len(batch) :]

    def _first_look(self, frame: Sampled) -> list[Detection]:
        """Look at a frame that others depend on; where it is time for it, see whether closer looks are worth it."""
        if (stretch := math.floor(frame[0].time / CLOSER_SECONDS)) == self._tried:
            return self._look(frame)
        quick = self._detect(frame[1])
        close = self._closer(frame[1], quick)
        self._tried, self._small = stretch, len(close) > len(quick)
        return close if self._small else quick

    def _look(self, frame: Sampled) -> list[Detection]:
        found = self._detect(frame[1])
        return self._closer(frame[1], found) if self._small else found

    def _on_their_way(self, frames: Sequence[Sampled], after: list[Detection]) -> list[Detection] | None:
        """The faces of the last frame, where they went on from the first one as they had come to it."""
        if len(self._looks) < 2 or not after or _cut(frames):
            return None
        (earlier, there), (start, here) = self._looks
        if start <= earlier:  # a clock may stand still
            return None
        return paired_on_their_way(there, here, after, (frames[-1][0].time - earlier) / (start - earlier))

    def _between(
        self, frames: Sequence[Sampled], before: list[Detection], after: list[Detection]
    ) -> list[list[Detection]]:
        """The faces of the frames between the first and the last one, whose faces are known."""
        if len(frames) < 3:
            return []
        if (pairs := _plain(frames, before, after)) is not None:
            return _glided(frames, before, pairs)
        middle = min(_last_within(frames, 0, GLIDE_SECONDS), len(frames) - 2)
        found = self._look(frames[middle])
        return [
            *self._between(frames[: middle + 1], before, found),
            found,
            *self._between(frames[middle:], found, after),
        ]


def _plain(frames: Sequence[Sampled], before: list[Detection], after: list[Detection]) -> list[Detection] | None:
    """The faces of the last frame, where it is plain that they are those of the first one, on a short way."""
    short = frames[-1][0].time - frames[0][0].time <= GLIDE_SECONDS + 1e-6
    if _cut(frames) or not (short or before):  # where nobody is, somebody may come
        return None
    return paired(before, after, GLIDE_OVERLAP if short else REST_OVERLAP)


def _glided(frames: Sequence[Sampled], before: list[Detection], after: list[Detection]) -> list[list[Detection]]:
    """The faces of the frames between the first and the last one, who are the same there, face by face."""
    start, span = frames[0][0].time, frames[-1][0].time - frames[0][0].time
    return [between(before, after, (frame.time - start) / span if span else 0.0) for frame, _, _ in frames[1:-1]]


def _cut(frames: Sequence[Sampled]) -> bool:
    """Whether there is a cut between them."""
    return any(cut is not None for _, _, cut in frames[1:])


def _last_within(frames: Sequence[Sampled], key: int, seconds: float) -> int:
    """The last frame so many seconds behind another at most, but at least the next one."""
    until = frames[key][0].time + seconds + 1e-6
    return max(key + 1, max(i for i in range(key, len(frames)) if frames[i][0].time <= until))
