"""What a clip amounts to: who is seen when, which emotions for how long, and the moments that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emotion_model.face import Face
from emotion_model.faces.cropping import square_crop
from emotion_model.labels import LABELS, UNCLEAR, Label
from emotion_model.timelines.tracking import LONGEST_GAP

MAX_BINS = 1200  # of the timeline, over the whole clip; about the pixels of a wide screen
FIRST_BIN = 0.1  # seconds
THUMBNAIL_SIDE = 96  # pixels
PICTURED = 50  # people, those seen longest, who keep the thumbnails of their moments: each takes up to 200 kB
BRIEF_SECONDS = 0.3  # whoever is seen for less is left out of the summary, unless nobody is seen for longer


@dataclass
class Segment:
    """A time in which somebody shows one emotion, or is `unclear`: start and end in seconds."""

    start: float
    end: float
    emotion: str


@dataclass(frozen=True, eq=False)
class Peak:
    """The moment when an emotion of somebody was strongest.

    Attributes:
        time: seconds.
        probability: 0..1, smoothed.
        thumbnail: the face then, uint8 RGB `(THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)`, or None: of many people, those who
            were seen for a short time keep none.
    """

    time: float
    emotion: str
    probability: float
    thumbnail: np.ndarray | None


@dataclass
class Person:
    """What is known of one person of the clip; times in seconds.

    Attributes:
        seconds: how long they are seen.
        shares: per emotion, and for `unclear`, how long it was their label.
        segments: the same in order of time; where they are not seen there is a gap.
        peaks: the strongest moment of each emotion that was their label.
    """

    number: int
    first: float
    last: float = 0.0
    seconds: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    peaks: dict[str, Peak] = field(default_factory=dict)
    # Seconds, valence, arousal and probabilities, summed.
    bins: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _mood: np.ndarray = field(default_factory=lambda: np.zeros(2), repr=False)

    @property
    def valence(self) -> float:
        """Mean over the time they are seen, -1..1."""
        return float(self._mood[0] / self.seconds) if self.seconds else 0.0

    @property
    def arousal(self) -> float:
        """Mean over the time they are seen, -1..1."""
        return float(self._mood[1] / self.seconds) if self.seconds else 0.0

    @property
    def changes(self) -> int:
        """How often the emotion changed while they were seen; times in which it is unclear are passed over."""
        count, held, end = 0, None, None
        for one in self.segments:
            if end is None or one.start - end > 1e-6:
                held = None
            if one.emotion != UNCLEAR.name:
                count += held not in (None, one.emotion)
                held = one.emotion
            end = one.end
        return count

    @property
    def moments(self) -> list[Peak]:
        """The peaks in order of time; neutral is one only if there is nothing else."""
        telling = [peak for peak in self.peaks.values() if peak.emotion != "neutral"]
        return sorted(telling or self.peaks.values(), key=lambda peak: peak.time)

    def to_dict(self, labels: Sequence[Label]) -> dict[str, Any]:
        """JSON-ready, with the shares of these emotions, of the time that they are seen."""
        return {
            "face_id": self.number,
            "first": round(self.first, 3),
            "last": round(self.last, 3),
            "seconds": round(self.seconds, 3),
            "shares": {
                label.name: round(self.shares.get(label.name, 0.0) / self.seconds, 4) for label in (*labels, UNCLEAR)
            },
            "valence": round(self.valence, 4),
            "arousal": round(self.arousal, 4),
            "changes": self.changes,
            "peaks": [
                {"time": round(peak.time, 3), "emotion": peak.emotion, "probability": round(peak.probability, 4)}
                for peak in self.moments
            ],
        }


def seen_longest(people: Sequence[Person], most: int) -> list[Person]:
    """So many of the people of a clip, in the order in which they first came."""
    longest = sorted(people, key=lambda one: -one.seconds)[:most]
    return sorted(longest, key=lambda one: one.number)


def told_of_others(count: int) -> str:
    """A sentence about those who are not among them."""
    return f"{count} more {'was' if count == 1 else 'were'} seen for a shorter time."


class ClipSummary:
    """Gathers the frames of a clip; memory does not grow with their number, only with the people and their changes.

        summary = ClipSummary(start=0, labels=detector.classifier.config.labels)
        for frame in analyze(...):
            summary.add(frame.time, frame.faces, frame.image)
        summary.finish(reader.duration)

    Attributes:
        start, end: of what was looked at, in seconds.
        frames: how many were looked at; `empty_frames`: how many had no face.
        bin_seconds: the timeline's step; it doubles as often as a long clip requires.
    """

    def __init__(self, start: float, labels: Sequence[Label] = LABELS, rate: float | None = None) -> None:
        """Begin at a time in seconds, for a model with these classes, at so many frames per second, or all (None)."""
        self.start = self.end = start
        self.labels = tuple(labels)
        self.frames = self.empty_frames = 0
        self.bin_seconds = FIRST_BIN
        self._people: dict[int, Person] = {}
        self._pictured: set[int] = set()  # numbers of those with thumbnails
        self._longest = max(1 / rate if rate else 0.0, LONGEST_GAP)  # s that a frame stands for
        self._before: tuple[float, Sequence[Face], float] | None = None  # with until when they may be seen

    def add(
        self, time: float, faces: Sequence[Face], image_rgb: np.ndarray | None = None, duration: float = 0.0
    ) -> None:
        """Take in a frame with tracked faces, shown for so many seconds as its file says (0: it does not).

        `time` is in seconds, `image_rgb` the frame, uint8 `(height, width, 3)`, of which the moments' faces are cut.
        The frame stands for the time until the next one, but not for a gap of more than `LONGEST_GAP` that is longer
        than it is shown, or than the rate makes it.
        """
        self._settle(time)
        self._before = (time, faces, time + max(duration, self._longest))
        self.frames += 1
        self.empty_frames += not faces
        for face in faces:
            person = self._people.setdefault(face.track_id or 0, Person(face.track_id or 0, time))
            peak = person.peaks.get(face.emotion)
            if face.clear and (peak is None or face.confidence > peak.probability):
                thumbnail = None if image_rgb is None else square_crop(image_rgb, face, THUMBNAIL_SIDE)
                person.peaks[face.emotion] = Peak(time, face.emotion, face.confidence, thumbnail)
                if thumbnail is not None:
                    self._pictured.add(person.number)
        if len(self._pictured) > 2 * PICTURED:
            here = {face.track_id or 0 for face in faces}
            gone = sorted(self._pictured - here, key=lambda number: self._people[number].seconds)
            self._forget(gone[:-PICTURED])

    def finish(self, end: float) -> None:
        """The last frame stands until here, in seconds, or as long as it may."""
        self._settle(max(end, self.end))
        self._before = None

    @property
    def people(self) -> list[Person]:
        """Everybody who is seen for more than a blink, in order of appearance."""
        everybody = [person for person in self._people.values() if person.seconds > 0]
        lasting = [person for person in everybody if person.seconds >= BRIEF_SECONDS]
        return sorted(lasting or everybody, key=lambda person: person.number)

    def timeline(self, person: Person) -> list[dict[str, Any]]:
        """The person's values in steps of `bin_seconds`, JSON-ready: `time` (of the middle) and a share per emotion,
        `valence` and `arousal`; a step in which they are not seen is left out."""
        rows = []
        for number, total in sorted(person.bins.items()):
            seconds, mood, probabilities = total[0], total[1:3], total[3:]
            values = {label.name: p for label, p in zip(self.labels, probabilities / seconds, strict=True)}
            values |= {"valence": mood[0] / seconds, "arousal": mood[1] / seconds}
            rows.append(
                {"time": round(self.start + (number + 0.5) * self.bin_seconds, 3)}
                | {name: round(float(value), 4) for name, value in values.items()}
            )
        return rows

    def forget_pictures(self) -> None:
        """Drop the thumbnails of the moments; the numbers stay."""
        self._forget(list(self._pictured))

    def _forget(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            person = self._people[number]
            person.peaks = {name: replace(peak, thumbnail=None) for name, peak in person.peaks.items()}
        self._pictured.difference_update(numbers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the span, the frames, and for each person the shares of time, means, changes and peaks."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "frames": self.frames,
            "frames_without_face": self.empty_frames,
            "people": [person.to_dict(self.labels) for person in self.people],
        }

    def _settle(self, now: float) -> None:
        """Book the last frame's faces for the time up to now."""
        self.end = max(self.end, now)
        if self._before is None:
            return
        since, faces, longest = self._before
        now = min(now, longest)
        elapsed = now - since
        if elapsed <= 0:
            return
        for face in faces:
            person = self._people[face.track_id or 0]
            person.seconds += elapsed
            person.last = now
            person.shares[face.word] = person.shares.get(face.word, 0.0) + elapsed
            mood = np.array([face.valence, face.arousal])
            person._mood += mood * elapsed
            last = person.segments[-1] if person.segments else None
            if last and last.emotion == face.word and since - last.end < 1e-6:
                last.end = now
            else:
                person.segments.append(Segment(since, now, face.word))
            self._fill(person, since, now, np.concatenate([[1.0], mood, face.probabilities]))

    def _fill(self, person: Person, since: float, until: float, values: np.ndarray) -> None:
        while until - self.start > self.bin_seconds * MAX_BINS:
            self._coarsen()
        first = int((since - self.start) / self.bin_seconds)
        last = int((until - self.start) / self.bin_seconds - 1e-9)
        for number in range(first, last + 1):
            left = self.start + number * self.bin_seconds
            inside = min(until, left + self.bin_seconds) - max(since, left)
            if inside > 1e-9:
                person.bins[number] = person.bins.get(number, 0) + values * inside

    def _coarsen(self) -> None:
        self.bin_seconds *= 2
        for person in self._people.values():
            pairs: dict[int, np.ndarray] = {}
            for number, total in person.bins.items():
                pairs[number // 2] = pairs.get(number // 2, 0) + total
            person.bins = pairs
