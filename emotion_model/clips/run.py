"""A clip as a stream: decode, find and follow faces, classify many frames at once, draw and encode, all side by side.

One thread decodes ahead, one finds faces, the caller's classifies them, and another one draws and encodes behind. What
passes between them are short queues. Memory does not depend on the clip's length.
"""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from emotion_model.clips.analysis import AnalyzedFrame, VideoConfig, analyze
from emotion_model.clips.annotating import Drawing
from emotion_model.clips.limits import MediaError
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.writing import require_mp4, writing
from emotion_model.files import place, spelled_out, whole_file, write_json
from emotion_model.network.config import short_name
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.subtitles import subtitles
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.table import TimelineWriter, frame_rows

_ONCE = "A VideoRun goes through its clip once: make another one to go through it again."


@dataclass(frozen=True)
class VideoOutputs:
    """The files to write; None for those that are not wanted.

    Raises:
        ValueError: nothing but a zip is wanted, which would be empty; two are one file; or a name ends like that of
            another kind of file.
    """

    annotated: str | Path | None = None  # .mp4
    csv: str | Path | None = None
    json: str | Path | None = None
    vtt: str | Path | None = None
    srt: str | Path | None = None
    plot: str | Path | None = None  # .png
    summary: str | Path | None = None  # .json
    page: str | Path | None = None  # .html, to look at and to print
    zip: str | Path | None = None  # with all the others in it

    def __post_init__(self) -> None:
        if self.zip is not None and len(self.written()) == 1:
            raise ValueError(f"{self.zip}: a zip packs the other files: ask for at least one of them too.")
        places: set[str] = set()
        for path in self.written():
            if place(path) in places:
                raise ValueError(f"{path}: two results cannot have one name: give each its own.")
            places.add(place(path))
        if (annotated := self.path("annotated")) is not None:
            require_mp4(annotated)
        if (plot := self.path("plot")) is not None and plot.suffix.lower() != ".png":
            raise MediaError("unwritable", f"{plot}: the timeline is a PNG picture; use a name ending in .png.")

    def path(self, name: str) -> Path | None:
        """Where one of them goes."""
        path = getattr(self, name)
        return None if path is None else Path(path)

    def written(self) -> list[Path]:
        """The paths of those that are wanted."""
        return [path for one in fields(self) if (path := self.path(one.name)) is not None]


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
                error = problem
                self._leave(problem)
                raise
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
        # An annotated clip begins with the part that was asked for, and its subtitles lie beside it.
        begin = self._start if self._drawing else 0.0
        cues = partial(subtitles, self.summary.people, self._labels, begin=begin)
        packed = self._outputs.path("zip")
        others = [path for path in self._outputs.written() if path != packed]
        for path, write in (
            (self._outputs.path("vtt"), lambda p: p.write_text(cues("vtt"), encoding="utf-8")),
            (self._outputs.path("srt"), lambda p: p.write_text(cues("srt"), encoding="utf-8")),
            (self._outputs.path("plot"), lambda p: _save_plot(self.summary, p)),
            (self._outputs.path("summary"), lambda p: write_json(p, self.summary.to_dict())),
            (self._outputs.path("page"), self._save_page),
            (packed, lambda p: _save_zip(others, p)),
        ):
            _write(path, write)

    def _save_page(self, path: Path) -> None:
        from emotion_model.drawing.page import save_page

        timeline = BytesIO()
        if (plot := self._outputs.path("plot")) is not None:
            timeline.write(plot.read_bytes())
        else:
            _save_plot(self.summary, timeline)
        stem = self._reader.path.stem if self._reader.path else "A sequence of pictures"
        title = spelled_out(stem)
        save_page(self.summary, timeline.getvalue(), title, short_name(self._detector.classifier.source), path)

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            return
        if self._drawing:
            self._drawing.abandon()
        try:
            self._files.__exit__(type(error), error, error.__traceback__)
        except BaseException as other:
            if other is not error and other.__cause__ is not error:  # what files say of somebody else's error
                raise


def _write(path: Path | None, write: Callable[[Path], object]) -> None:
    if path is not None:
        with writing(path), whole_file(path) as partial:
            write(partial)


def _save_plot(summary: ClipSummary, path: Path | BytesIO) -> None:
    from emotion_model.drawing.plot import save_timeline  # matplotlib takes a while to import

    save_timeline(summary, path)


def _save_zip(paths: list[Path], target: Path) -> None:
    taken: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            name, number = spelled_out(path.name), 2
            while name.casefold() in taken:  # a/out.json and b/Out.json, which not every disk tells apart
                name, number = spelled_out(f"{path.stem}_{number}{path.suffix}"), number + 1
            taken.add(name.casefold())
            packed = path.suffix in (".mp4", ".png")
            archive.write(path, name, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)
