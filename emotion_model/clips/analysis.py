"""The faces of a clip, frame after frame: found, classified many at once, and followed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from emotion_model.clips.ahead import Ahead
from emotion_model.clips.frame import VideoFrame
from emotion_model.clips.gliding import gliding
from emotion_model.clips.reading import VideoReader, sampled
from emotion_model.clips.scenes import CUT_SIZE, Scenes
from emotion_model.face import Face
from emotion_model.faces.boxes import Detection
from emotion_model.faces.detection import FaceDetector
from emotion_model.faces.turning import HeldTurn
from emotion_model.pipeline import EmotionDetector
from emotion_model.timelines.tracking import FaceTracker, TrackingConfig

BATCH_FRAMES = 16  # classified in one forward pass
BATCH_PIXELS = 8_000_000  # of the frames in a batch, whatever their size
GLIDE_SECONDS = 0.1  # for so long faces are taken to move straight on, and are not looked for anew


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


_Sampled = tuple[VideoFrame, np.ndarray, float | None]  # with its pixels, and the time of a cut since the one before


def video_detector(detector: EmotionDetector) -> EmotionDetector:
    """The same model with the quick look for faces that moving pictures need."""
    return EmotionDetector(detector.classifier, FaceDetector(detector.faces.name, fine=False), mirrored=False)


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
    # Three things at a time: reading frames, looking for their faces, naming the emotions of those found before.
    with (
        Ahead(_looked_at(reader, config), size) as frames,
        Ahead(_searched(frames, detector.faces, size), 1) as batches,
    ):
        for batch, detections in batches:
            found = detector.detect_many((one[1] for one in batch), detections)
            for (frame, image, cut), faces in zip(batch, found, strict=True):
                if cut is not None:
                    tracker.cut()
                yield AnalyzedFrame(frame.index, frame.time, tracker.update(faces, frame.time), image, cut)


def _searched(
    frames: Iterable[_Sampled], detector: FaceDetector, size: int
) -> Iterator[tuple[list[_Sampled], list[list[Detection]]]]:
    """Batches of frames, and where their faces are."""
    queued = iter(frames)
    detect = HeldTurn(detector.detect).detect if detector.name == "yunet" else detector.detect
    while batch := list(islice(queued, size)):
        yield batch, _found(detect, batch)


def _found(detect: Callable[[np.ndarray], list[Detection]], batch: Sequence[_Sampled]) -> list[list[Detection]]:
    """Where the faces of successive frames are.

    Finding them costs more than reading them. So they are looked for in one frame of every `GLIDE_SECONDS`; in the
    frames between they glide, if nothing else than that can have happened: no cut, and no face came or left.
    """
    found = [detect(batch[0][1])]
    while (key := len(found) - 1) < len(batch) - 1:
        until = batch[key][0].time + GLIDE_SECONDS + 1e-6
        ahead = key + 1
        while ahead + 1 < len(batch) and batch[ahead + 1][0].time <= until:
            ahead += 1
        after = detect(batch[ahead][1])
        cut = any(cut is not None for _, _, cut in batch[key + 1 : ahead + 1])
        span = batch[ahead][0].time - batch[key][0].time
        for frame, image, _ in batch[key + 1 : ahead]:
            share = (frame.time - batch[key][0].time) / span
            glided = None if cut else gliding(found[key], after, share)
            found.append(detect(image) if glided is None else glided)
        found.append(after)
    return found


def _looked_at(reader: VideoReader, config: VideoConfig) -> Iterator[_Sampled]:
    """The sampled frames with their pixels and the time of a cut since the last one; every frame counts for cuts."""
    start, end = reader.span(config.start, config.end)
    scenes = Scenes()
    cut: float | None = None
    for frame, chosen in sampled(reader.frames(start, None if config.end is None else end), config.rate, start):
        if scenes.changes(frame.thumbnail(*CUT_SIZE)):
            cut = frame.time
        if chosen:
            yield frame, frame.image, cut
            cut = None
