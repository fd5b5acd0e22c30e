"""A clip as a stream: decode, find and follow faces, classify many frames at once, draw and encode, all side by side.

One thread decodes ahead, the caller's thread finds and classifies faces, and another one draws and encodes behind. That
last one reads the clip a second time, so that no pictures have to wait for the results between which they lie; what
passes between the threads is short queues of numbers. Memory does not depend on the clip's length.
"""

from __future__ import annotations

import math
import queue
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion_model.clips.reading import MediaError, VideoFrame, VideoReader, sampled, video_writer, writing
from emotion_model.drawing.faces import draw_faces
from emotion_model.face import Face
from emotion_model.faces.detection import Detection, FaceDetector, gliding
from emotion_model.files import whole_file
from emotion_model.labels import Label, person_colour
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.summary import ClipSummary, subtitles
from emotion_model.timelines.table import TimelineWriter, frame_rows
from emotion_model.timelines.tracking import FaceTracker, TrackingConfig

BATCH_FRAMES = 16  # classified in one forward pass
BATCH_PIXELS = 8_000_000  # of the frames in a batch, whatever their size
GLIDE_SECONDS = 0.1  # for so long faces are taken to move straight on, and are not looked for anew
LEAD = 96  # results that the drawing may lie behind
CUT_SIZE = (64, 36)  # pixels; frames are compared at this size
CUT_CHANGE = 27.0  # mean change of hue, saturation and value, 0..255; the usual threshold of PySceneDetect
CUT_RATIO = 3.0  # times the recent mean: fast motion is no cut
STRIP_ROWS = 4  # people at a time in the strip along the bottom


@dataclass(frozen=True)
class VideoConfig:
    """How a clip is looked at."""

    rate: float | None = None  # frames per second that are analysed; None for every frame
    start: float = 0.0  # s
    end: float | None = None  # s; None for the clip's end
    strip: bool = False  # draw a timeline along the bottom of the annotated clip
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise ValueError(f"rate={self.rate}: analyse more than 0 frames per second, or every frame (None)")
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start={self.start}: use 0 or more seconds")
        if self.end is not None and not self.end > self.start:
            raise ValueError(f"end={self.end}: must lie behind the start at {self.start} s")


@dataclass(frozen=True)
class VideoOutputs:
    """The files to write; None for those that are not wanted."""

    annotated: Path | None = None  # .mp4
    csv: Path | None = None
    json: Path | None = None
    vtt: Path | None = None
    srt: Path | None = None
    plot: Path | None = None  # .png
    summary: Path | None = None  # .json
    zip: Path | None = None  # with all the others in it

    def written(self) -> list[Path]:
        """The paths of those that are wanted."""
        return [path for one in fields(self) if (path := getattr(self, one.name)) is not None]


@dataclass(frozen=True, eq=False)
class AnalyzedFrame:
    """A frame that was looked at.

    Attributes:
        index: its number in the clip, from 0.
        time: seconds of the clip's clock.
        faces: tracked, the largest first; empty if there are none.
        image: uint8 RGB `(height, width, 3)`, or None.
        cut: time of the last scene cut since the frame before, or None.
    """

    index: int
    time: float
    faces: list[Face]
    image: np.ndarray | None
    cut: float | None = None


@dataclass(frozen=True, eq=False)
class VideoProgress:
    """How far a run has come.

    Attributes:
        frame: what was just analysed.
        fraction: 0..1 of the part that is looked at.
        seconds_left: about how long the run still takes; None while that is unknown.
    """

    frame: AnalyzedFrame
    fraction: float
    seconds_left: float | None


_Sampled = tuple[VideoFrame, np.ndarray, float | None]  # with its pixels, and the time of a cut since the one before


def video_detector(detector: EmotionDetector) -> EmotionDetector:
    """The same model with the quick look for faces that moving pictures need."""
    return EmotionDetector(detector.classifier, FaceDetector(detector.faces.name, fine=False))


def analyze(
    reader: VideoReader, detector: EmotionDetector, config: VideoConfig | None = None
) -> Iterator[AnalyzedFrame]:
    """The faces of a clip, followed from frame to frame, frame after frame as they are found.

    Raises:
        MediaError: the part that is asked for is empty or too long, or the clip cannot be read on.
    """
    config = config or VideoConfig()
    tracker = FaceTracker(config.tracking)
    size = int(min(max(BATCH_PIXELS // (reader.width * reader.height), 1), BATCH_FRAMES))
    with _Ahead(_looked_at(reader, config), size) as frames:
        queued = iter(frames)
        while batch := list(islice(queued, size)):
            found = detector.detect_many((one[1] for one in batch), _found(detector.faces, batch))
            for (frame, image, cut), faces in zip(batch, found, strict=True):
                if cut is not None:
                    tracker.cut()
                yield AnalyzedFrame(frame.index, frame.time, tracker.update(faces, frame.time), image, cut)


def _found(detector: FaceDetector, batch: Sequence[_Sampled]) -> list[list[Detection]]:
    """Where the faces of successive frames are.

    Finding them costs more than reading them. So they are looked for in one frame of every `GLIDE_SECONDS`; in the
    frames between they glide, if nothing else than that can have happened: no cut, and no face came or left.
    """
    found = [detector.detect(batch[0][1])]
    while (key := len(found) - 1) < len(batch) - 1:
        until = batch[key][0].time + GLIDE_SECONDS + 1e-6
        ahead = key + 1
        while ahead + 1 < len(batch) and batch[ahead + 1][0].time <= until:
            ahead += 1
        after = detector.detect(batch[ahead][1])
        cut = any(cut is not None for _, _, cut in batch[key + 1 : ahead + 1])
        span = batch[ahead][0].time - batch[key][0].time
        for frame, image, _ in batch[key + 1 : ahead]:
            share = (frame.time - batch[key][0].time) / span
            glided = None if cut else gliding(found[key], after, share)
            found.append(detector.detect(image) if glided is None else glided)
        found.append(after)
    return found


def _looked_at(reader: VideoReader, config: VideoConfig) -> Iterator[_Sampled]:
    """The sampled frames with their pixels and the time of a cut since the last one; every frame counts for cuts."""
    start, end = reader.span(config.start, config.end)
    scenes = _Scenes()
    cut: float | None = None
    for frame, chosen in sampled(reader.frames(start, None if config.end is None else end), config.rate, start):
        if scenes.changes(frame.thumbnail(*CUT_SIZE)):
            cut = frame.time
        if chosen:
            yield frame, frame.image, cut
            cut = None


class _Scenes:
    """Finds cuts by how much hue, saturation and value change from frame to frame, as PySceneDetect does."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._usual = 0.0

    def changes(self, small_rgb: np.ndarray) -> bool:
        values = cv2.cvtColor(small_rgb, cv2.COLOR_RGB2HSV)
        before, self._before = self._before, values
        if before is None:
            return False
        change = float(cv2.absdiff(values, before).mean())
        cut = change > CUT_CHANGE and change > CUT_RATIO * self._usual
        if not cut:
            self._usual += 0.1 * (change - self._usual)
        return cut


class _Ahead:
    """Runs an iterator in a thread of its own, a few items ahead; whatever it raises is raised here."""

    def __init__(self, items: Iterator[Any], size: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[bool, Any]] = queue.Queue(size)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((True, item)):
                    return
            self._put((False, None))
        except BaseException as error:
            self._put((False, error))
        finally:
            self._items.close()  # type: ignore[attr-defined]

    def _put(self, item: tuple[bool, Any]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[Any]:
        while True:
            more, item = self._queue.get()
            if more:
                yield item
            elif item is not None:
                raise item
            else:
                return

    def __enter__(self) -> _Ahead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


class VideoRun:
    """One clip on its way through everything: analysis, annotated clip, tables, subtitles, plot, summary.

        with VideoReader("clip.mp4") as reader, VideoRun(reader, detector, VideoOutputs(csv=Path("out.csv"))) as run:
            for progress in run:
                print(f"{progress.fraction:.0%}")
        print(run.summary.to_dict())

    The files stand under their names when the `with` block has ended. `stop` ends it early, at any point: then they
    hold what was done until there. If an exception ends the block, no file is left.

    Attributes:
        summary: grows with the run.
    """

    def __init__(
        self,
        reader: VideoReader,
        detector: EmotionDetector,
        outputs: VideoOutputs | None = None,
        config: VideoConfig | None = None,
    ) -> None:
        """Prepare a run; `video_detector` gives the detector that suits clips.

        Raises:
            MediaError: the part that is asked for is empty or too long.
        """
        self._reader, self._detector = reader, detector
        self._outputs, self._config = outputs or VideoOutputs(), config or VideoConfig()
        self._start, self._end = reader.span(self._config.start, self._config.end)
        self._labels = detector.classifier.config.labels
        self.summary = ClipSummary(self._start, self._labels)
        self._stopped = threading.Event()
        self._files = ExitStack()
        self._drawing: _Drawing | None = None
        self._tables: list[TimelineWriter] = []

    @property
    def stopped(self) -> bool:
        """Whether the run was ended early."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the run after the frame in hand; may be called from any thread."""
        self._stopped.set()

    def __enter__(self) -> VideoRun:
        try:
            for form in ("csv", "json"):
                path = getattr(self._outputs, form)
                if path is not None:
                    self._files.enter_context(writing(path))
                    partial = self._files.enter_context(whole_file(path))
                    file = self._files.enter_context(partial.open("w", encoding="utf-8", newline=""))
                    names = [label.name for label in self._labels]
                    self._tables.append(self._files.enter_context(TimelineWriter(file, form, names)))
            if self._outputs.annotated is not None:
                self._drawing = _Drawing(self._reader, self._outputs.annotated, self._config, self._labels)
                self._drawing.start()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __iter__(self) -> Iterator[VideoProgress]:
        began = time.perf_counter()
        frames = analyze(self._reader, self._detector, self._config)
        names = [label.name for label in self._labels]
        try:
            for frame in frames:
                if self.stopped:
                    break
                self.summary.add(frame.time, frame.faces, frame.image)
                for table in self._tables:
                    table.write(frame_rows(frame.time, frame.index, frame.faces, names))
                if self._drawing:
                    self._drawing.put(replace(frame, image=None))
                fraction = min(max((frame.time - self._start) / (self._end - self._start), 0.0), 1.0)
                elapsed = time.perf_counter() - began
                left = elapsed / fraction * (1 - fraction) if fraction > 0.01 and elapsed > 0.5 else None
                yield VideoProgress(frame, fraction, left)
        finally:
            frames.close()  # type: ignore[attr-defined]

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException as problem:
                error = problem
                self._leave(problem)
                raise
        self._leave(error)

    def _finish(self) -> None:
        if not self.summary.frames:
            raise MediaError("damaged", "No frame was analysed: the clip is damaged, or the run was stopped at once.")
        step = 1 / (self._config.rate or self._reader.rate)
        self.summary.finish(min(self.summary.end + step, self._end) if self.stopped else self._end)
        if self._drawing:
            self._drawing.finish(self.stopped)
        people = self.summary.people
        for path, write in (
            (self._outputs.vtt, lambda p: p.write_text(subtitles(people, self._labels, "vtt"), encoding="utf-8")),
            (self._outputs.srt, lambda p: p.write_text(subtitles(people, self._labels, "srt"), encoding="utf-8")),
            (self._outputs.plot, lambda p: _save_plot(self.summary, p)),
            (self._outputs.summary, lambda p: _save_json(self.summary.to_dict(), p)),
        ):
            _write(path, write)
        self._files.close()
        self._tables = []
        others = [path for path in self._outputs.written() if path != self._outputs.zip]
        _write(self._outputs.zip, lambda p: _save_zip(others, p))

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            return
        if self._drawing:
            self._drawing.abandon()
        try:
            self._files.__exit__(type(error), error, error.__traceback__)
        except MediaError:
            raise
        except BaseException as same:
            if same is not error:
                raise


def _write(path: Path | None, write: Callable[[Path], object]) -> None:
    if path is not None:
        with writing(path), whole_file(path) as partial:
            write(partial)


def _save_plot(summary: ClipSummary, path: Path) -> None:
    from emotion_model.drawing.plot import save_timeline  # matplotlib takes a while to import

    save_timeline(summary, path)


def _save_json(values: Any, path: Path) -> None:
    import json

    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_zip(paths: list[Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            packed = path.suffix in (".mp4", ".png")
            archive.write(path, path.name, zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED)


class _Abandoned(Exception):  # noqa: N818 - no error, but the way out of the thread
    """The run failed elsewhere."""


class _Drawing(threading.Thread):
    """Reads the clip once more, draws on every frame what the analysed frames around it say, and writes it."""

    def __init__(self, reader: VideoReader, path: Path, config: VideoConfig, labels: tuple[Label, ...]) -> None:
        super().__init__(name="draw", daemon=True)
        self._reader, self._path, self._config, self._labels = reader, path, config, labels
        self._results: queue.Queue[AnalyzedFrame | None] = queue.Queue(LEAD)
        self._abandoned = threading.Event()
        self._partly = False
        self._error: BaseException | None = None

    def put(self, frame: AnalyzedFrame | None) -> None:
        """Hand over the next result, None after the last one; raises what went wrong in the thread."""
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
        self.join()
        if self._error:
            raise self._error

    def abandon(self) -> None:
        """Leave no file."""
        self._abandoned.set()
        self.join()

    def run(self) -> None:
        """Body of the thread."""
        try:
            self._draw()
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error

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
        before: AnalyzedFrame | None = None
        after = self._next()
        size = (reader.width, reader.height)
        strip = _Strip(size, start, end, self._labels) if self._config.strip else None
        with video_writer(self._path, *size, reader.rate, reader, start) as writer:
            if self._config.end is not None:
                writer.cut_sound(end - start)
            for frame in reader.frames(start, None if self._config.end is None else end):
                if self._abandoned.is_set():
                    raise _Abandoned
                while after is not None and after.time <= frame.time + 1e-6:
                    before, after = after, self._next()
                if after is None and self._partly and (before is None or frame.time > before.time + 1e-6):
                    writer.cut_sound(frame.time - start)
                    break
                faces = faces_between(before, after, frame.time)
                image = draw_faces(frame.image, faces, self._labels)
                if strip:
                    image = strip.drawn(image, frame.time, faces)
                writer.write(image, frame.time - start, frame.duration)


def faces_between(before: AnalyzedFrame | None, after: AnalyzedFrame | None, time: float) -> list[Face]:
    """The faces at a time between two analysed frames: boxes and probabilities glide from one to the other.

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
            box = tuple(round(a + share * (b - a)) for a, b in zip(face.box, other.box, strict=True))
            mixed = face.probabilities + np.float32(share) * (other.probabilities - face.probabilities)
            shown.append(replace(face, box=box, probabilities=mixed, landmarks=None))
        elif time < middle:
            shown.append(face)
    return shown + ([] if time < middle else list(coming.values()))


class _Strip:
    """The timeline along the bottom: a row per person, filled with the colours of their emotions as time goes on."""

    def __init__(self, size: tuple[int, int], start: float, end: float, labels: tuple[Label, ...]) -> None:
        self._width, height = size
        self._height = min(max(round(height / 12), 12), height)
        self._start, self._seconds = start, max(end - start, 1e-9)
        self._colours = {label.name: label.rgb for label in labels}
        self._rows = np.full((STRIP_ROWS, self._width, 3), (38, 40, 48), np.uint8)
        self._slots: dict[int, int] = {}  # person -> row
        self._column = 0
        self._used = 1

    def drawn(self, image_rgb: np.ndarray, time: float, faces: list[Face]) -> np.ndarray:
        """The picture with the strip over its lowest part, as far as the clip has come."""
        here = [face.track_id or 0 for face in faces]
        self._slots = {person: row for person, row in self._slots.items() if person in here}
        column = min(int((time - self._start) / self._seconds * self._width), self._width - 1)
        for face in faces:
            free = [row for row in range(STRIP_ROWS) if row not in self._slots.values()]
            if face.track_id not in self._slots and free:
                self._slots[face.track_id or 0] = free[0]
            row = self._slots.get(face.track_id or 0)
            if row is not None:
                colour = self._colours.get(face.emotion, Label(face.emotion).rgb)
                self._rows[row, self._column : column + 1] = colour
                self._used = max(self._used, row + 1)
        self._column = column
        size = (self._width, self._height)
        strip = cv2.resize(self._rows[: self._used], size, interpolation=cv2.INTER_NEAREST)
        for person, row in self._slots.items():
            top = row * self._height // self._used
            mark = Label("", colour=person_colour(person)).rgb
            strip[top : top + self._height // self._used, max(column - 6, 0) : column] = mark
        strip[:, max(column - 1, 0) : column + 1] = 255
        strip[:2] = (20, 21, 26)
        drawn = image_rgb.copy()
        drawn[-self._height :] = strip
        return drawn
