"""The faces of a clip, frame after frame: found, classified many at once, and followed."""

from __future__ import annotations

import atexit
import copy
import math
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from numbers import Real
from typing import Any

import numpy as np

from emotion_model.clips.ahead import Ahead
from emotion_model.clips.reading import VideoReader
from emotion_model.clips.sampling import sampled
from emotion_model.clips.scenes import FLASH_SECONDS, with_cuts
from emotion_model.clips.searching import Sampled, Search
from emotion_model.face import Face
from emotion_model.faces.boxes import Detection
from emotion_model.faces.detection import FaceDetector
from emotion_model.faces.turning import HeldTurn
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.tracking import FaceTracker, TrackingConfig

BATCH_FRAMES = 16  # classified in one forward pass
BATCH_HAIR = 1e-3  # of a batch: by so much early, a frame belongs to it
BATCH_PIXELS = 8_000_000  # of the frames in a batch, whatever their size
_open: weakref.WeakSet[Generator[Any, None, None]] = weakref.WeakSet()


@dataclass(frozen=True)
class VideoConfig:
    """How a clip is looked at."""

    rate: float | None = None  # frames per second that are analysed; None for every frame
    start: float = 0.0  # s
    end: float | None = None  # s; None for the clip's end
    strip: bool = False  # draw a timeline along the bottom of the annotated clip
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        for name in ("rate", "start", "end"):
            value = getattr(self, name)
            if not isinstance(value, Real) and (value is not None or name == "start"):
                raise TypeError(f"{name}={value!r}: give a number")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise ValueError(f"rate={self.rate}: analyse more than 0 and up to 1,000 frames per second, or every one")
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start={self.start}: use 0 or more seconds")
        if self.end is not None and not self.end > self.start:
            raise ValueError(f"end={self.end}: must lie behind the start at {self.start} s")


@dataclass(frozen=True, eq=False)
class AnalyzedFrame:
    """A frame that was looked at.

    Attributes:
        index: its number in the clip, from 0.
        time: seconds of the clip's clock.
        faces: the largest first; empty if there are none.
        image: uint8 RGB `(height, width, 3)`, or None.
        cut: time of the last scene cut since the frame before, or None.
        duration: seconds that it is shown, as the file says; 0 where it does not.
    """

    index: int
    time: float
    faces: list[Face]
    image: np.ndarray | None
    cut: float | None = None
    duration: float = 0.0


def video_detector(detector: EmotionDetector) -> EmotionDetector:
    """The same model with the quick look for faces that moving pictures need."""
    quick = copy.copy(detector)  # of its very kind: a class of one's own stays what it is
    quick.faces, quick.mirrored = copy.copy(detector.faces), False
    quick.faces.fine = False
    return quick


def analyze(
    reader: VideoReader,
    detector: EmotionDetector,
    config: VideoConfig | None = None,
    stopped: threading.Event | None = None,
) -> Generator[AnalyzedFrame, None, None]:
    """The faces of a clip, followed from frame to frame, frame after frame as they are found.

    Args:
        reader: the clip.
        detector: what looks at its frames; see `video_detector`.
        config: which frames are looked at; by default all.
        stopped: from when it is set on, possibly by another thread, no more of the clip is read.

    Each frame holds its pixels, which of a long clip fill the memory: keep what is needed of them, not the frames.

    Raises:
        MediaError: the part that is asked for is empty or too long, or the clip cannot be read on.
    """
    config = config or VideoConfig()
    frames = followed(look(reader, detector, config, stopped), FaceTracker(config.tracking))
    _open.add(frames)
    return frames


@atexit.register
def _close_all() -> None:
    """End the threads of what was left in the middle: Python would end while they run native code, and abort."""
    for frames in list(_open):
        with suppress(ValueError):  # it runs, in another thread
            frames.close()


def look(
    reader: VideoReader, detector: EmotionDetector, config: VideoConfig, stopped: threading.Event | None = None
) -> Iterator[AnalyzedFrame]:
    """The same faces, each frame by itself: nobody has an id yet, and nothing is smoothed.

    Raises:
        MediaError: as `analyze`.
    """
    size, left = batch_size(reader), threading.Event()
    # Three things at a time: reading frames, looking for their faces, naming the emotions of those found before.
    with (
        Ahead(_looked_at(reader, config, (left, stopped or left)), size, "decode") as frames,
        Ahead(_searched(_batches(frames, reader, config), detector.faces), 1, "search") as batches,
    ):
        try:
            for batch, detections in batches:
                found = detector.detect_many((one[1] for one in batch), detections)
                for (frame, image, cut), faces in zip(batch, found, strict=True):
                    yield AnalyzedFrame(frame.index, frame.time, faces, image, cut, frame.duration)
        finally:
            left.set()  # or the search would wait for the rest of its batch


def followed(frames: Iterable[AnalyzedFrame], tracker: FaceTracker) -> Generator[AnalyzedFrame, None, None]:
    """Frames with the ids and the smoothed emotions that a tracker gives their faces."""
    for frame in frames:
        if frame.cut is not None:
            tracker.cut()
        yield replace(frame, faces=tracker.update(frame.faces, frame.time, frame.duration))


def batch_seconds(reader: VideoReader, config: VideoConfig) -> float:
    """How much of the clip is looked at in one go: whole steps of the rate, which counts from there in a part."""
    if not config.rate:
        return batch_size(reader) / reader.rate
    return math.ceil(batch_size(reader) * config.rate / min(config.rate, reader.rate)) / config.rate


def batch_start(number: int, step: float) -> float:
    """When a batch begins, of batches that take so many seconds: a hair early, as clocks of clips are rounded."""
    return max(number - BATCH_HAIR, 0.0) * step


def batch_size(reader: VideoReader) -> int:
    """How many frames are classified in one forward pass, and wait for it with their pixels."""
    return int(min(max(BATCH_PIXELS // (reader.width * reader.height), 1), BATCH_FRAMES))


def _batches(frames: Iterable[Sampled], reader: VideoReader, config: VideoConfig) -> Iterator[list[Sampled]]:
    """The frames in batches that begin at fixed times: wherever reading began, they are the same from there on."""
    step, most = batch_seconds(reader, config), 2 * batch_size(reader)
    for _, together in groupby(frames, lambda one: math.floor((one[0].time - config.start) / step + BATCH_HAIR)):
        while batch := list(islice(together, most)):  # where frames follow each other faster than the clip says
            yield batch


def _searched(
    batches: Iterable[list[Sampled]], detector: FaceDetector
) -> Iterator[tuple[list[Sampled], list[list[Detection]]]]:
    """The batches, and where the faces of their frames are."""
    if detector.tells_way_up:
        held = HeldTurn(detector.detect)
        search = Search(held.detect, lambda image, found: detector.look_closer(image, found, held.turn or 0))
    else:
        search = Search(detector.detect, detector.look_closer)
    for batch in batches:
        yield batch, search.faces(batch)


def _looked_at(reader: VideoReader, config: VideoConfig, ends: Iterable[threading.Event]) -> Iterator[Sampled]:
    """The sampled frames with their pixels and the time of a cut since the last one; every frame counts for cuts.

    No more are read from when one of `ends` is set.
    """
    start, _ = reader.span(config.start, config.end)
    end = math.inf if config.end is None else config.end  # the header may be wrong about the clip's own
    # Read on a little: whether the last frames are of a new scene or of a flash shows behind them.
    frames = reader.frames(start, end + FLASH_SECONDS)
    cut: float | None = None
    for frame, chosen, begins in with_cuts(sampled(frames, config.rate, start)):
        if frame.time >= end or any(one.is_set() for one in ends):
            return
        if begins:
            cut = frame.time
        if chosen:
            yield frame, frame.image, cut
            cut = None
