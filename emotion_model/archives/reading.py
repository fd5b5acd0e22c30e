"""One recording -> its rows: a photo, a clip, or a long clip in parts.

A long clip is cut, so that several workers share it. Each frame of a part is read by itself (`look`): faces and what
the network says of them. What carries over from frame to frame, the ids and the smoothing, is worked out afterwards, in
a run through the parts in their order (`join`), which costs next to nothing. Reading a part begins some seconds early,
at the same frames and batches as in the uncut clip, until all that a frame owes to those before it is as it would be;
what was read early is thrown away. So the rows are those of the uncut clip.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from emotion_model.archives.answers import (
    UNLISTED,
    Cut,
    Fetched,
    Joined,
    Looked,
    Part,
    Result,
    Sign,
    done_row,
    failure,
)
from emotion_model.archives.fetching import local_copy, remove_left_copies
from emotion_model.archives.settings import ArchiveSettings, difference
from emotion_model.archives.sources import PHOTO, Source, cause, is_local
from emotion_model.archives.tables import faces_table, people_table
from emotion_model.clips.analysis import (
    AnalyzedFrame,
    VideoConfig,
    batch_seconds,
    batch_start,
    followed,
    look,
    video_detector,
)
from emotion_model.clips.limits import MediaError
from emotion_model.clips.outputs import VideoOutputs
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.run import VideoRun
from emotion_model.clips.writing import writing
from emotion_model.drawing.faces import draw_faces
from emotion_model.faces.images import ImageError, read_image
from emotion_model.files import spelled_out, whole_file
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.summary import ClipSummary
from emotion_model.timelines.table import frame_rows
from emotion_model.timelines.tracking import FaceTracker

RUN_IN = 5.0  # s that a part is read early; a scene's usual change is forgotten, a turn decided, a closer look taken
FEW_BYTES = 10_000  # per second of a clip; what has fewer may be shorter than its header says
LONGEST_STEM = 200  # bytes of an annotated copy's name; most disks take 255, what is added included
ROWS_AT_ONCE = 4096  # as dictionaries, before they are packed


@dataclass
class _Following:
    """A long clip on the way through its parts."""

    tracker: FaceTracker
    summary: ClipSummary


class Reader:
    """Reads recordings one after the other with one model."""

    def __init__(self, settings: ArchiveSettings, folder: Path, expected: dict[str, Any] | None = None) -> None:
        """Load the model.

        Args:
            settings: how recordings are looked at.
            folder: where annotated copies go, into `annotated/`.
            expected: the record that whoever asks has of the same settings, on another machine maybe.

        Raises:
            ValueError: it is another one here.
        """
        remove_left_copies()
        self.settings, self._folder = settings, folder
        self._photos = EmotionDetector.load(settings.models, settings.detector)
        self._clips = video_detector(self._photos)
        self.record = settings.record(self._photos)
        if expected and (name := difference(self.record, expected)):
            raise ValueError(
                f"{platform.node()} has another {name.removesuffix('_digest')} ({self.record[name]}) than the command "
                f"({expected[name]}): give all nodes the same model, detector file and packages."
            )
        self.record |= expected or {}
        self._config = VideoConfig(settings.rate)

    def read(self, sources: Sequence[Source]) -> Iterator[Fetched | Sign | Cut | Result]:
        """Whole recordings: signs of life, and a result for each; of a long clip how it is to be cut."""
        for source in sources:
            yield from self._read(source)

    def _read(self, source: Source) -> Iterator[Fetched | Sign | Cut | Result]:
        began = time.perf_counter()
        if source.fault:
            yield failure(source, UNLISTED, spelled_out(source.fault))
            return
        try:
            with local_copy(source) as copy:
                yield from map(Fetched, copy.fetch())
                if source.kind == PHOTO:
                    yield self._photo(source, copy.path, began)
                else:
                    yield from self._clip_or_photo(source, copy.path, began)
        except Exception as error:  # one bad file ends nothing: whatever it was is said of it
            yield failure(source, *_told(error, source), time.perf_counter() - began)

    def look(self, source: Source, part: Part) -> Iterator[Fetched | Sign | Looked | Result]:
        """The frames of a part of a clip: signs of life, and the frames; or the result if it cannot be read."""
        began = time.perf_counter()
        try:
            with local_copy(source) as copy:
                yield from map(Fetched, copy.fetch())
                yield from self._look(copy.path, part)
        except Exception as error:
            yield failure(source, *_told(error, source), time.perf_counter() - began)

    def _look(self, path: Path, part: Part) -> Iterator[Sign | Looked]:
        with VideoReader(path) as reader:
            frames = []
            for frame in look(reader, self._clips, self._from_before(reader, part)):
                yield Sign(max(frame.time - part.start, 0.0), (part.end or reader.duration) - part.start)
                if frame.time >= part.start:
                    frames.append(replace(frame, image=None))
            yield Looked(pickle.dumps((frames, reader.ended, reader.notice)))

    def join(self, source: Source, looked: bytes, state: bytes | None, end: float | None) -> Iterator[Sign | Joined]:
        """Signs of life, and the rows of the next part of a clip; `end` of the clip in s, if it was the last part."""
        frames: list[AnalyzedFrame]
        frames, ended, notice = pickle.loads(looked)  # noqa: S301 - made by another worker of this very run
        following: _Following = (
            _Following(FaceTracker(), ClipSummary(0.0, self._labels, self.settings.rate))
            if state is None
            else pickle.loads(state)  # noqa: S301
        )
        rows = _Rows(self, source)
        for frame in followed(frames, following.tracker):
            following.summary.add(frame.time, frame.faces, None, frame.duration)
            rows.add(frame_rows(frame.time, frame.index, frame.faces, self.record["emotions"]))
            yield Sign(frame.time - frames[0].time, 0.0)
        if end is None:
            yield Joined(rows.table(), len(frames), rows.faces, pickle.dumps(following))
        else:
            following.summary.finish(end if ended is None else ended)
            people = people_table(source.told, following.summary)
            yield Joined(rows.table(), len(frames), rows.faces, b"", people, following.summary.end, notice)

    @property
    def _labels(self) -> Any:
        return self._photos.classifier.config.labels

    def packed(self, source: Source, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """Rows as a table."""
        made_by = {name: self.record[name] for name in ("model", "detector")}
        same = {"source": source.told, "kind": source.kind} | made_by
        return faces_table(rows, self.record["emotions"], same)

    def _photo(self, source: Source, path: Path, began: float) -> Result:
        image = read_image(path)
        faces = self._photos.detect(image)
        annotated = self._annotated(source, ".jpg")
        if annotated:
            copy = self._folder / annotated
            with writing(copy), whole_file(copy) as partial:
                Image.fromarray(draw_faces(image, faces, self._labels)).save(partial, format="JPEG", quality=92)
        height, width = image.shape[:2]
        seconds = time.perf_counter() - began
        file = done_row(source, (width, height), 1, len(faces), seconds, annotated=annotated)
        rows = frame_rows(0.0, 0, faces, self.record["emotions"])
        return Result(source, file, self.packed(source, rows))

    def _clip_or_photo(self, source: Source, path: Path, began: float) -> Iterator[Sign | Cut | Result]:
        """What has no ending that tells is a photo if its content is."""
        try:
            yield from self._clip(source, path, began)
        except MediaError as error:
            if error.code != "a_picture":
                raise
            result = self._photo(replace(source, kind=PHOTO), path, began)
            yield replace(result, source=source)  # as it was asked for

    def _clip(self, source: Source, path: Path, began: float) -> Iterator[Sign | Cut | Result]:
        with VideoReader(path) as reader:
            annotated = self._annotated(source, ".mp4")
            # To cut what lies elsewhere would have each of its parts fetch all of it.
            if not annotated and is_local(source.uri) and (cut := self._cut(reader, path.stat().st_size)):
                yield cut
                return
            outputs = VideoOutputs(annotated=self._folder / annotated if annotated else None)
            rows = _Rows(self, source)
            with VideoRun(reader, self._clips, outputs, self._config, thumbnails=False) as run:
                for progress in run:
                    rows.add(progress.rows)
                    yield Sign(progress.frame.time, reader.duration)
            file = done_row(
                source,
                (reader.width, reader.height),
                run.summary.frames,
                rows.faces,
                time.perf_counter() - began,
                reader.notice,
                duration=round(reader.duration if reader.ended is None else reader.ended, 3),
                people=len(run.summary.people),
                annotated=annotated,
            )
            yield Result(source, file, rows.table(), people_table(source.told, run.summary))

    def _cut(self, reader: VideoReader, size: int) -> Cut | None:
        """Where a long clip is cut, whose file has so many bytes: at ends of batches, in parts of like length."""
        length, duration = self.settings.part_seconds, reader.duration
        # By a damaged header there could be millions of parts. What has so few bytes is soon gone through.
        if duration > 1.5 * length and size < FEW_BYTES * duration:
            duration = reader.length()
        if duration <= 1.5 * length:
            return None
        step = batch_seconds(reader, self._config)
        count = math.ceil(duration / length)
        batches = {round(i * duration / count / step) for i in range(1, count)} - {0}
        bounds = tuple(batch_start(batch, step) for batch in sorted(batches))
        return Cut(duration, reader.width, reader.height, bounds) if bounds else None

    def _from_before(self, reader: VideoReader, part: Part) -> VideoConfig:
        step = batch_seconds(reader, self._config)
        early = max(round(part.start / step) - max(math.ceil(RUN_IN / step), 2), 0) * step
        return replace(self._config, start=early, end=part.end)

    def _annotated(self, source: Source, ending: str) -> str | None:
        """Where the annotated copy goes, inside of the folder; files of one name are told apart by their address."""
        if not self.settings.annotated:
            return None
        (self._folder / "annotated").mkdir(exist_ok=True)
        uri = os.fsencode(source.uri)
        stem = os.fsencode(Path(source.name).stem)[:LONGEST_STEM].decode("utf-8", "ignore")
        return f"annotated/{stem}-{hashlib.sha256(uri).hexdigest()[:8]}{ending}"


@dataclass
class _Rows:
    """The rows of a recording, packed as they grow many."""

    reader: Reader
    source: Source
    faces: int = 0
    _loose: list[dict[str, Any]] = field(default_factory=list)
    _tables: list[pa.Table] = field(default_factory=list)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self.faces += sum(row["emotion"] is not None for row in rows)  # a frame without a face has a row too
        self._loose += rows
        if len(self._loose) >= ROWS_AT_ONCE:
            self._pack()

    def _pack(self) -> None:
        self._tables.append(self.reader.packed(self.source, self._loose))
        self._loose = []

    def table(self) -> pa.Table:
        self._pack()
        return pa.concat_tables(self._tables)


def _told(error: Exception, source: Source) -> tuple[str, str]:
    """What is said of a recording that cannot be read: for programs, and for people."""
    if isinstance(error, MediaError | ImageError):
        return error.code, spelled_out(str(error).removeprefix(f"{source.uri}: "))  # which stands beside it
    said: BaseException = error
    if isinstance(error, FileNotFoundError) and str(error.filename or "") in source.uri:  # no other file is missing
        if not (reason := cause(error)):
            return "unreadable", "There is no such file."
        said = reason
    return "unreadable", spelled_out(f"{type(said).__name__}: {said}")
