"""The annotated copy of a clip, drawn behind the analysis."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from emotion_model.clips.analysis import AnalyzedFrame, VideoConfig, batch_size
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.writing import video_writer
from emotion_model.drawing.faces import draw_faces
from emotion_model.drawing.strip import Strip
from emotion_model.face import Face
from emotion_model.labels import Label

LEAD = 96  # results without pictures that the drawing may lie behind

_Drawn = tuple[float, float, np.ndarray, list[Face]]  # a frame's time and duration in s, pixels, and who is in it


class _Abandoned(Exception):  # noqa: N818 - no error, but the way out of the thread
    """The run failed elsewhere."""


class Drawing(threading.Thread):
    """Draws on every frame what is known of its faces, and writes it.

    Where not all frames are analysed, it reads the clip once more and draws what those around each of them say, so that
    no pictures have to wait for the results between which they lie.
    """

    def __init__(self, reader: VideoReader, path: Path, config: VideoConfig, labels: tuple[Label, ...]) -> None:
        super().__init__(name="draw", daemon=True)
        self._reader, self._path, self._config, self._labels = reader, path, config, labels
        self._all = config.rate is None
        self._results: queue.Queue[AnalyzedFrame | None] = queue.Queue(batch_size(reader) if self._all else LEAD)
        self._abandoned = threading.Event()
        self._ended = threading.Event()  # a `join` that was interrupted would not wait a second time
        self._partly = False
        self._error: BaseException | None = None

    def put(self, frame: AnalyzedFrame | None) -> None:
        """Hand over the next result, None after the last one; raises what went wrong in the thread."""
        if frame and not self._all:
            frame = replace(frame, image=None)
        while True:
            if self._error:
                raise self._error
            try:
                return self._results.put(frame, timeout=0.1)
            except queue.Full:
                continue

    def finish(self, partly: bool) -> None:
        """Wait until the file is whole; it ends with the last result if the run was stopped."""
        self._partly = partly
        self.put(None)
        self._ended.wait()
        if self._error:
            raise self._error

    def abandon(self) -> None:
        """Leave no file."""
        self._abandoned.set()
        if self.ident is not None:
            self._ended.wait()

    def run(self) -> None:
        """Body of the thread."""
        try:
            self._draw()
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def _next(self) -> AnalyzedFrame | None:
        while not self._abandoned.is_set():
            try:
                return self._results.get(timeout=0.1)
            except queue.Empty:
                continue
        raise _Abandoned

    def _draw(self) -> None:
        reader = self._reader
        start, end = reader.span(self._config.start, self._config.end)
        size = (reader.width, reader.height)
        strip = Strip(size, start, end, self._labels) if self._config.strip else None
        with video_writer(self._path, *size, reader.rate, reader, start) as writer:
            shown = start
            for time, duration, pixels, faces in self._as_they_come() if self._all else self._read_again(start):
                image = draw_faces(pixels, faces, self._labels)
                if strip:
                    strip.draw(image, time, faces)
                writer.write(image, time - start, duration)
                shown = time + (duration or 1 / reader.rate)
            if self._partly:
                writer.cut_sound(shown - start)
            elif self._config.end is not None:
                writer.cut_sound(self._config.end - start)

    def _as_they_come(self) -> Iterator[_Drawn]:
        """The frames of a clip that are analysed one and all."""
        while (one := self._next()) is not None and one.image is not None:
            yield one.time, one.duration, one.image, one.faces

    def _read_again(self, start: float) -> Iterator[_Drawn]:
        """The frames of the clip, whichever of them are analysed."""
        before: AnalyzedFrame | None = None
        after = self._next()
        for frame in self._reader.frames(start, self._config.end):
            if self._abandoned.is_set():
                raise _Abandoned
            while after is not None and after.time <= frame.time + 1e-6:
                before, after = after, self._next()
            if after is None and self._partly and (before is None or frame.time > before.time + 1e-6):
                return
            yield frame.time, frame.duration, frame.image, faces_between(before, after, frame.time)


def faces_between(before: AnalyzedFrame | None, after: AnalyzedFrame | None, time: float) -> list[Face]:
    """The faces at a time between two analysed frames: boxes and probabilities glide from one to the other.

    The word over a face is that of its bars all along.
    Who is in one of the frames only is shown for the half of the time that is nearer to it, or up to a cut.
    """
    if before is None or after is None:
        return before.faces if before else []
    share = (time - before.time) / max(after.time - before.time, 1e-9)
    if share <= 0:
        return before.faces
    middle = (before.time + after.time) / 2 if after.cut is None else after.cut
    coming = {face.track_id: face for face in after.faces}
    shown = []
    for face in before.faces:
        other = coming.pop(face.track_id, None)
        if other is not None:
            x, y, w, h = (round(a + share * (b - a)) for a, b in zip(face.box, other.box, strict=True))
            mixed = face.probabilities + np.float32(share) * (other.probabilities - face.probabilities)
            glides = replace(face, box=(x, y, w, h), probabilities=mixed, landmarks=None)
            if face.word != other.word:  # then the word is the one of the bars on their way, not of either frame
                glides = replace(glides, steady_emotion=None, steady_clear=None)
            shown.append(glides)
        elif time < middle:
            shown.append(face)
    return shown + ([] if time < middle else list(coming.values()))
