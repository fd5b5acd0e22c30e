"""A clip as a stream: decode, find and follow faces, classify many frames at once, draw and encode, all side by side.

One thread decodes ahead, one finds faces, the caller's classifies them, and another one draws and encodes behind. What
passes between them are short queues. Memory does not depend on the clip's length.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_model.clips.analysis import AnalyzedFrame, VideoConfig, analyze
from emotion_model.clips.annotating import Drawing
from emotion_model.clips.limits import MediaError
from emotion_model.clips.outputs import VideoOutputs, write_results
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.writing import writing
from emotion_model.files import spelled_out, whole_file
from emotion_model.network.config import short_name
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.table import TimelineWriter, frame_rows

_ONCE = "A VideoRun goes through its clip once: make another one to go through it again."


@dataclass(frozen=True, eq=False)
class VideoProgress:
    """How far a run has come.

    Attributes:
        frame: what was just analysed.
        rows: of the tables, as `frame_rows` makes them of it.
        fraction: 0..1 of the part that is looked at.
        seconds_left: about how long the run still takes; None while that is unknown.
    """

    frame: AnalyzedFrame
    rows: list[dict[str, Any]]
    fraction: float
    seconds_left: float | None


class VideoRun:
    """One clip on its way through everything: analysis, annotated clip, tables, subtitles, plot, summary.

        with VideoReader("clip.mp4") as reader, VideoRun(reader, detector, VideoOutputs(csv="out.csv")) as run:
            for progress in run:
                print(f"{progress.fraction:.0%}")
        print(run.summary.to_dict())

    The files stand under their names when the `with` block has ended. `stop`, or a `break` from the loop, ends it
    early, at any point: then they hold what was done until there. If an exception ends the block or the run, no file is
    left; where one of them cannot be written in the end, those before it are. A run goes through its clip once.

    Attributes:
        summary: grows with the run.
    """

    def __init__(
        self,
        reader: VideoReader,
        detector: EmotionDetector,
        outputs: VideoOutputs | None = None,
        config: VideoConfig | None = None,
        thumbnails: bool = True,
    ) -> None:
        """Prepare a run; `video_detector` gives the detector that suits clips.

        Without `thumbnails` the summary's moments have none, nor has the page.

        Raises:
            MediaError: the part that is asked for is empty or too long.
        """
        self._reader, self._detector = reader, detector
        self._outputs, self._config = outputs or VideoOutputs(), config or VideoConfig()
        self._start, self._end = reader.span(self._config.start, self._config.end)
        self._labels = detector.classifier.config.labels
        self._names = detector.classifier.emotions
        self._thumbnails = thumbnails
        self.summary = ClipSummary(self._start, self._labels, self._config.rate)
        self._stopped = threading.Event()
        self._files = ExitStack()
        self._drawing: Drawing | None = None
        self._tables: dict[Path, TimelineWriter] = {}
        self._entered = False
        self._frames: Generator[AnalyzedFrame, None, None] | None = None
        self._whole = False  # has the loop come to its end?
        self._error: BaseException | None = None  # what ended the run, which its caller may have caught

    @property
    def stopped(self) -> bool:
        """Whether the run was ended early."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the run after the frame in hand; may be called from any thread."""
        self._stopped.set()

    def __enter__(self) -> VideoRun:
        if self._entered:
            raise RuntimeError(_ONCE)
        self._entered = True
        for path in self._outputs.written():
            if not path.parent.is_dir():
                raise MediaError("unwritable", f"{path}: cannot be written (there is no folder {path.parent}).")
            if self._reader.reads(path):
                raise MediaError("unwritable", f"{path} is read itself: save under another name, or in another folder.")
        try:
            for form in ("csv", "json"):
                if (table := self._outputs.path(form)) is not None:
                    self._files.enter_context(writing(table))
                    with writing(table):
                        partial = self._files.enter_context(whole_file(table))
                        file = self._files.enter_context(partial.open("w", encoding="utf-8", newline=""))
                    self._tables[table] = self._files.enter_context(TimelineWriter(file, form, self._names))
            if (annotated := self._outputs.path("annotated")) is not None:
                self._drawing = Drawing(self._reader, annotated, self._config, self._labels)
                self._drawing.start()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __iter__(self) -> Iterator[VideoProgress]:
        if self._frames is not None:
            raise RuntimeError(_ONCE)
        if not self._entered and self._outputs.written():
            raise RuntimeError("A VideoRun writes files in a block: `with VideoRun(...) as run: for step in run: ...`")
        began = time.perf_counter()
        self._frames = frames = analyze(self._reader, self._detector, self._config, self._stopped)
        try:
            for frame in frames:
                if self.stopped and self.summary.frames:
                    break
                self.summary.add(frame.time, frame.faces, frame.image if self._thumbnails else None, frame.duration)
                rows = frame_rows(frame.time, frame.index, frame.faces, self._names)
                for path, table in self._tables.items():
                    with writing(path):
                        table.write(rows)
                if self._drawing:
                    self._drawing.put(frame)
                fraction = min(max((frame.time - self._start) / (self._end - self._start), 0.0), 1.0)
                elapsed = time.perf_counter() - began
                left = elapsed / fraction * (1 - fraction) if fraction > 0.01 and elapsed > 0.5 else None
                yield VideoProgress(frame, rows, fraction, left)
            self._whole = True
        except GeneratorExit:  # the caller's loop was left
            self.stop()
            raise
        except BaseException as error:
            self._error = error
            raise
        finally:
            frames.close()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._frames:
            self._frames.close()  # of a loop that was left, and whose iterator is still held
        if error is None:
            error = self._error
        self._error = None  # its traceback holds the frame in hand
        if error is None:
            if not self._whole:
                self.stop()
            try:
                self._finish()
            except BaseException as problem:
                self._leave(problem)
                raise
        else:
            self._leave(error)

    def _finish(self) -> None:
        stopped, ended = self.stopped, self._reader.ended
        if not self.summary.frames:
            if ended is not None and ended <= self._start:
                said = f"There is nothing to see from {self._start:g} s on: the pictures end at {ended:.1f} s."
                raise MediaError("bad_range", said)
            if not stopped and (ended is not None or self._config.end is not None):
                part = f"from {self._start:g} s to {self._end:g} s"
                raise MediaError("bad_range", f"No picture begins {part}: choose a longer part of the clip.")
            raise MediaError("damaged", "No frame was analysed: the clip is damaged, or the run was stopped at once.")
        step = 1 / (self._config.rate or self._reader.rate)
        end = min((one for one in (ended, self._config.end) if one is not None), default=self._end)
        self.summary.finish(min(self.summary.end + step, end) if stopped else end)
        self._files.close()
        self._tables = {}
        if self._drawing:
            self._drawing.finish(stopped)
        title = spelled_out(self._reader.path.stem if self._reader.path else "A sequence of pictures")
        # An annotated clip begins with the part that was asked for, and its subtitles lie beside it.
        begin = self._start if self._drawing else 0.0
        write_results(self._outputs, self.summary, title, short_name(self._detector.classifier.source), begin)

    def _leave(self, error: BaseException) -> None:
        if self._drawing:
            self._drawing.abandon()
        try:
            self._files.__exit__(type(error), error, error.__traceback__)
        except BaseException as other:
            if other is not error and other.__cause__ is not error:  # what files say of somebody else's error
                raise
